#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""What other programs check: each header compiles alone, clang-format has nothing to change, shellcheck nothing to
say. A program that is not installed skips its check."""

import os
import platform
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

from tree import ROOT, files, lines, report

PACKAGES = ["libuv", "libcurl", "libcjson", "inih", "libsystemd", "openblas", "libpcre2-8", "cmocka", "libnghttp2"]

# Headers of one instruction set, by the machine that has it.
ISA_FLAGS = {
    "libmulm/kernels/avx2.h": ("x86_64", ["-mavx2", "-mfma", "-mf16c"]),
    "libmulm/kernels/neon.h": ("aarch64", []),
}


def output_of(*command, **options):
    """What a failing command says, else ''."""
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options
    )
    return done.stdout if done.returncode else ""


def check_headers():
    flags = subprocess.run(
        ["pkg-config", "--cflags", *PACKAGES], capture_output=True, text=True, check=True
    ).stdout.split()
    command = ["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I.", *flags]

    def check(path):
        machine, isa_flags = ISA_FLAGS.get(path, (platform.machine(), []))
        if machine != platform.machine():
            return ""
        # included from a file of its own: "#pragma once in main file" is no news
        return output_of(*command, *isa_flags, "-xc", "-", input=f'#include "{path}"\n')

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return [line for text in pool.map(check, files(".h")) for line in text.splitlines()]


def check_format():
    return output_of("clang-format", "--dry-run", "--Werror", *files(".c", ".h")).splitlines()


def shell_scripts():
    for path in files(""):
        with open(os.path.join(ROOT, path), "rb") as file:
            if file.read(2) == b"#!" and lines(path)[0].endswith(("sh", "bash")):
                yield path


def check_shell():
    return output_of("shellcheck", *shell_scripts()).splitlines()


def check(name, program, function):
    return (name, function()) if shutil.which(program) else (name, None, f"{program} is not installed")


report(
    [
        check("headers compile alone", "gcc", check_headers),
        check("clang-format agrees", "clang-format", check_format),
        check("shellcheck agrees", "shellcheck", check_shell),
    ]
)
