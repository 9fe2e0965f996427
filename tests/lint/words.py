#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""What no file may lack or hold: the licence's name, notes to oneself, functions without a bound or a state of their
own, blanks at the end of a line."""

import os
import re

from tree import ROOT, files, lines, report

NOTES = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|X" + r"XX)\b")

# name -> instead
BANNED = {
    "strcpy": "memcpy with a checked length",
    "strcat": "buf_add",
    "stpcpy": "memcpy with a checked length",
    "sprintf": "snprintf or buf_printf",
    "vsprintf": "vsnprintf",
    "gets": "getline",
    "atoi": "strtoul with its errors",
    "atol": "strtoul with its errors",
    "atof": "strtod with its errors",
    "strtok": "strcspn",
    "system": "process_spawn",
    "popen": "process_spawn",
    "alloca": "malloc",
    "rand": "a seed that is an argument",
    "srand": "a seed that is an argument",
    "tmpnam": "mkdtemp",
}
BANNED_CALL = re.compile(r"(?<![\w>.])(" + "|".join(BANNED) + r")\s*\(")

# What a programmer wrote and what builds it.
WRITTEN = (".c", ".h", ".py", ".sh", ".build", ".ini", ".conf", ".xml", ".service", "meson_options.txt")


def scripts():
    """Programs without a suffix."""
    return [path for path in files("") if "." not in os.path.basename(path) and is_script(path)]


def is_script(path):
    with open(os.path.join(ROOT, path), "rb") as file:
        return file.read(2) == b"#!"


def check_licence(paths):
    return [
        f"{path}: no SPDX-License-Identifier in its first five lines"
        for path in paths
        if not any("SPDX-License-Identifier:" in line for line in lines(path)[:5])
    ]


def check_notes(paths):
    return [
        f"{path}:{number}: {match[0]}"
        for path in paths
        for number, line in enumerate(lines(path), 1)
        if (match := NOTES.search(line))
    ]


def check_blanks(paths):
    return [
        f"{path}:{number}: blank at the end of the line"
        for path in paths
        for number, line in enumerate(lines(path), 1)
        if line != line.rstrip()
    ]


def check_banned(paths):
    complaints = []
    for path in paths:
        text = re.sub(r"/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m[0]), "\n".join(lines(path)), flags=re.DOTALL)
        for number, line in enumerate(text.split("\n"), 1):
            for match in BANNED_CALL.finditer(re.sub(r'"(\\.|[^"\\])*"', '""', line)):
                complaints.append(f"{path}:{number}: {match[1]}(); here: {BANNED[match[1]]}")
    return complaints


written = [path for path in files(*WRITTEN) if not path.startswith("tests/data/")] + scripts()
report(
    [
        ("every file names its licence", check_licence(written)),
        ("no notes to oneself", check_notes(written)),
        ("no blanks at line ends", check_blanks(written)),
        ("no banned functions", check_banned(files(".c", ".h"))),
    ]
)
