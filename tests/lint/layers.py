#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""Includes point one way: daemon/main -> daemon -> bus/ -> request -> io/ -> core/ -> libmulm/base/.

The first row of LAYERS whose pattern fits a file says what of ours it may include; daemon/core/ is also kept from
whatever would make it more than a function of its arguments.
"""

import re

from tree import files, lines, report

BASE = r"libmulm/base/"
CORE = r"daemon/core/"
IO = r"daemon/(io/|log\.h)"
REQUEST = r"daemon/(?!daemon\.h)[^/]+\.h"

LAYERS = [
    (r"libmulm/base/", [BASE]),
    (r"libmulm/tools/", [BASE, r"libmulm/mulm\.h", r"libmulm/tools/"]),
    (r"libmulm/", [r"libmulm/"]),
    (CORE, [BASE, CORE]),
    (r"daemon/io/engine\.c", [BASE, CORE, IO, r"libmulm/mulm\.h"]),
    (r"daemon/(io/|log\.)", [BASE, CORE, IO]),
    (r"daemon/bus/", [BASE, CORE, IO, REQUEST, r"daemon/bus/"]),
    (r"daemon/(daemon|main)\.", [BASE, r"daemon/"]),
    (r"daemon/[^/]+$", [BASE, CORE, IO, REQUEST]),
    (r"dbus/", [BASE, r"dbus/"]),
    (r"tests/continuator/", [BASE, r"libmulm/mulm\.h", r"tests/continuator/"]),
    (r"", [r""]),
]

# In daemon/core/: the outside world, by header and by name.
IMPURE_HEADERS = re.compile(
    r"(uv|pthread|threads|unistd|fcntl|time|syslog|signal|locale|sys/.*|curl/.*|systemd/.*)\b"
)
IMPURE_NAMES = re.compile(
    r"\b(f?open|v?f?printf|puts|perror|getenv|secure_getenv|time|clock|clock_gettime|"
    r"gettimeofday|random|getrandom|syslog|abort|exit)\s*\(|\bFILE\b|\b(stdout|stderr|errno)\b"
)
MUTABLE_STATIC = re.compile(r"^\s*(static|_Thread_local)\s+(?!const\b|inline\b|_)[^()]*[;=]")


def included(path):
    for number, line in enumerate(lines(path), 1):
        match = re.match(r'\s*#\s*include\s*(["<])([^">]+)[">]', line)
        if match:
            yield number, match[1] == '"', match[2]


def check_layers(paths):
    complaints = []
    for path in paths:
        allowed = next(allowed for pattern, allowed in LAYERS if re.match(pattern, path))
        for number, ours, header in included(path):
            if ours and not any(re.match(pattern, header) for pattern in allowed):
                complaints.append(f"{path}:{number}: {header} is not below this layer")
    return complaints


def check_roots(paths):
    """Ours are written from the root of the repository."""
    known = set(paths)
    return [
        f'{path}:{number}: "{header}" is no header of ours, written from the root'
        for path in paths
        for number, ours, header in included(path)
        if ours and header not in known
    ]


def without_comments(path):
    text = re.sub(
        r"/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"",
        lambda match: re.sub(r"[^\n]", " ", match[0]),
        "\n".join(lines(path)),
        flags=re.DOTALL,
    )
    return text.split("\n")


def check_purity(paths):
    complaints = []
    for path in paths:
        if not path.startswith(CORE):
            continue
        for number, ours, header in included(path):
            if not ours and IMPURE_HEADERS.match(header):
                complaints.append(f"{path}:{number}: <{header}> does not belong in {CORE}")
        for number, line in enumerate(without_comments(path), 1):
            if line.lstrip().startswith("#"):
                continue
            match = IMPURE_NAMES.search(line)
            if match:
                complaints.append(f"{path}:{number}: {match[0].strip('( ')} does not belong in {CORE}")
            if MUTABLE_STATIC.match(line):
                complaints.append(f"{path}:{number}: state outside of an argument")
    return complaints


sources = files(".c", ".h")
report(
    [
        ("includes point one way", check_layers(sources)),
        ("includes are written from the root", check_roots(sources)),
        ("core is pure", check_purity(sources)),
    ]
)
