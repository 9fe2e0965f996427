#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""Adds up meson's testlog.json files and prints "N passed, N failed[, N skipped]", counting the single tests inside
of programs that speak TAP. Exits with 1 if any failed or none ran."""

import json
import re
import sys

RESULT = re.compile(r"^(not )?ok\b[^#\n]*(#\s*skip)?", re.IGNORECASE | re.MULTILINE)


def count(entry):
    """(passed, failed, skipped) of one program."""
    results = RESULT.findall(entry.get("stdout", ""))
    failed = sum(bool(bad) for bad, _ in results)
    skipped = sum(bool(skip) for bad, skip in results if not bad)
    passed = len(results) - failed - skipped
    good = entry["result"] in ("OK", "EXPECTEDFAIL")
    if entry["result"] == "SKIP":
        skipped = max(skipped, 1)
    elif good and not results:
        passed = 1
    elif not good:
        failed = max(failed, 1)  # crashed, timed out, leaked, or is no TAP
    return passed, failed, skipped


def main(paths):
    totals = [0, 0, 0]
    for path in paths:
        with open(path, encoding="utf-8") as file:
            for line in file:
                totals = [a + b for a, b in zip(totals, count(json.loads(line)))]
    passed, failed, skipped = totals
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed or not passed else 0


sys.exit(main(sys.argv[1:]))
