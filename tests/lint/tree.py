# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""What the lint scripts share: the project's own files, and results in TAP."""

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def files(*suffixes):
    """Paths from the root, sorted, of all files with one of the suffixes; build folders and caches left out."""
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [
            name
            for name in folders
            if name == ".ci" or not (name.startswith((".", "build")) or name == "__pycache__")
        ]
        found += [
            os.path.relpath(os.path.join(folder, name), ROOT) for name in names if name.endswith(suffixes)
        ]
    return sorted(found)


def lines(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read().splitlines()


def report(results):
    """`results`: (name, complaints) or (name, None, why it was skipped). Exits."""
    print(f"1..{len(results)}")
    failed = False
    for number, (name, complaints, *why) in enumerate(results, 1):
        if complaints is None:
            print(f"ok {number} - {name} # SKIP {why[0]}")
            continue
        print(f"{'not ok' if complaints else 'ok'} {number} - {name}")
        for complaint in complaints:
            print(f"# {complaint}")
            print(complaint, file=sys.stderr)
        failed = failed or bool(complaints)
    sys.exit(failed)
