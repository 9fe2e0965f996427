# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""Runs a module's test_ functions in order and says so in TAP. One that raises unittest.SkipTest is skipped."""

import os
import sys
import traceback
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "models"))
sys.path.append(os.path.join(ROOT, ".cache", "python"))  # where ./run test puts what Debian lacks


def need(*modules):
    """Skips the calling test where one of the modules cannot be imported."""
    for module in modules:
        try:
            __import__(module)
        except ImportError as error:
            raise unittest.SkipTest(f"{module} is not installed (models/*/requirements.txt)") from error


def main(module):
    tests = [(name, call) for name, call in vars(module).items() if name.startswith("test_")]
    print(f"1..{len(tests)}")
    failed = False
    for number, (name, call) in enumerate(tests, 1):
        try:
            call()
            print(f"ok {number} - {name}", flush=True)
        except unittest.SkipTest as reason:
            print(f"ok {number} - {name} # SKIP {reason}", flush=True)
        except Exception:  # whatever a test raises is its failure
            failed = True
            print(f"not ok {number} - {name}", flush=True)
            for line in traceback.format_exc().splitlines():
                print(f"# {line}", flush=True)
    sys.exit(failed)
