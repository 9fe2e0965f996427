#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""One interface, told four times: what mulmd answers to Introspect, dbus/*.xml, the manual, the table of errors.

Argument: the program that serves the interface on the bus address it is given, and says "ready".
"""

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

from tree import lines, report

NAME = "org.mulm.Assistant1"
PATH = "/org/mulm/Assistant1"
MANUAL = "docs/man/org.mulm.Assistant1.5.scd"
EMITS = "org.freedesktop.DBus.Property.EmitsChangedSignal"
DESCRIPTIONS = ["dbus/org.mulm.Assistant1.xml", "dbus/org.mulm.Assistant1.Request.xml"]


def members(root):
    """Every member of our interfaces as (interface, kind, name, what callers depend on)."""
    found = set()
    for interface in root.iter("interface"):
        if not interface.get("name").startswith(NAME):
            continue
        for member in interface:
            if member.tag == "property":
                emits = [a.get("value") for a in member.iter("annotation") if a.get("name") == EMITS]
                form = (member.get("type"), member.get("access"), *(emits or ["true"]))
            else:
                default = "out" if member.tag == "signal" else "in"
                form = tuple(
                    (a.get("direction", default), a.get("type"), a.get("name")) for a in member.iter("arg")
                )
            found.add((interface.get("name"), member.tag, member.get("name"), form))
    return found


def served(program):
    """Introspects the program on a bus of its own, and a request of it too."""
    bus = subprocess.Popen(
        ["dbus-daemon", "--session", "--nofork", "--print-address"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        address = bus.stdout.readline().strip()
        server = subprocess.Popen([program, address], stdout=subprocess.PIPE, text=True)
        try:
            server.stdout.readline()
            return members_on(address)
        finally:
            server.terminate()
            server.wait()
    finally:
        bus.terminate()
        bus.wait()


def members_on(address):
    """The caller must stay while its request is introspected, so both are done on one connection."""
    import dbus.bus

    connection = dbus.bus.BusConnection(address)
    service = connection.get_object(NAME, PATH)
    path = service.Ask("hold", dbus.Dictionary({}, signature="sv"), dbus_interface=NAME)
    texts = [
        connection.get_object(NAME, each).Introspect(dbus_interface=dbus.INTROSPECTABLE_IFACE)
        for each in (PATH, path)
    ]
    return set().union(*(members(ElementTree.fromstring(text)) for text in texts))


def described():
    return set().union(*(members(ElementTree.fromstring("\n".join(lines(path)))) for path in DESCRIPTIONS))


def check_descriptions(program):
    in_program, in_files = served(program), described()
    return [f"only served: {member}" for member in sorted(in_program - in_files)] + [
        f"only in dbus/*.xml: {member}" for member in sorted(in_files - in_program)
    ]


def check_manual():
    manual = "\n".join(lines(MANUAL))
    names = {name for _, _, name, _ in described()}
    names |= set(re.findall(r'ERRORS_PREFIX "(\w+)"', "\n".join(lines("daemon/bus/errors.c"))))
    names |= set(re.findall(r'^\s*\{ "(\w+)", "[subd]", set_', "\n".join(lines("daemon/bus/options.c")), re.M))
    names |= set(
        re.findall(r'append_(?:time|count|flag|string)\(message, "(\w+)"', "\n".join(lines("daemon/bus/reqobject.c")))
    )
    return [f"{MANUAL}: nothing of {name}" for name in sorted(names) if not re.search(rf"[*]{name}\b", manual)]


if __name__ == "__main__":
    report(
        [
            ("the interface is as dbus/*.xml describes it", check_descriptions(sys.argv[1])),
            ("the manual names all members, options, errors and keys", check_manual()),
        ]
    )
