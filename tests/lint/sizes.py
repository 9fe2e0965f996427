#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""A function fits on one screen, a file in one head: above 600 lines a file must say here why, above 100 lines a
function fails, above 60 it is named. Functions are what stands between a { and a } in the first column."""

import re

from tree import files, lines, report

FILE_MAX = 600
FUNCTION_MAX = 100
FUNCTION_NAMED = 60

# path -> why it is longer
LONG_FILES = {
    "libmulm/gguf.c": "the reader of one format with all of its refusals",
    "tests/unit/test-dialect.c": "what each of many servers sends",
    "tests/unit/test-request.c": "all that can happen to one request, on one fixture",
    "tests/unit/test-race.c": "the table of every state and event",
}


def functions(path):
    content = lines(path)
    start = None
    for number, line in enumerate(content, 1):
        if line == "{":
            start = number
        elif line == "}" and start:
            head = " ".join(content[max(0, start - 6) : start - 1])
            names = re.findall(r"\b(\w+)\s*\(", head)
            yield start, number - start - 1, names[0] if names else "?"
            start = None


def check_files(paths):
    sizes = {path: len(lines(path)) for path in paths}
    complaints = [
        f"{path}: {n} lines, above {FILE_MAX}"
        for path, n in sizes.items()
        if n > FILE_MAX and path not in LONG_FILES
    ]
    for path in LONG_FILES:
        if sizes.get(path, 0) <= FILE_MAX:
            print(f"# {path}: needs its exception no more")
    return complaints


def check_functions(paths):
    complaints = []
    for path in paths:
        for start, n, name in functions(path):
            if n > FUNCTION_MAX:
                complaints.append(f"{path}:{start}: {name}() has {n} lines, above {FUNCTION_MAX}")
            elif n > FUNCTION_NAMED:
                print(f"# {path}:{start}: {name}() has {n} lines, more than a screen")
    return complaints


sources = files(".c", ".h")
report([("files are short", check_files(sources)), ("functions are short", check_functions(sources))])
