#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""libmulm as others get it: what it exports and needs, whether its header and the examples compile from an installed
tree, whether it is clean under musl. A compiler that is not installed skips its check.

Argument: the build folder.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

from tree import ROOT, files, lines, report

BUILD = os.path.abspath(sys.argv[1])
LIBRARY = os.path.join(BUILD, "libmulm", "libmulm.so")
MODEL = os.path.join(ROOT, "models", "mulm-28m.q8_0.gguf")
NEEDED = {"libopenblas", "libpcre2-8", "libm", "libc", "libpthread", "ld-linux-x86-64", "ld-linux-aarch64"}
SANITIZERS = {"libasan", "libubsan", "libtsan"}


def run(*command, **options):
    """(exit status, what it said)"""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options
    )
    return done.returncode, done.stdout


def complaints_of(*command, **options):
    status, output = run(*command, **options)
    return output.splitlines() or [f"{command[0]}: {status}"] if status else []


def dynamic(tag):
    return re.findall(rf"\({tag}\).*\[(.+?)\]", run("readelf", "-d", LIBRARY)[1])


def needed():
    return {re.sub(r"\.so.*", "", name) for name in dynamic("NEEDED")}


def check_symbols():
    header = "\n".join(lines("libmulm/mulm.h"))
    promised = set(re.findall(r"^MULM_API[^(]*?(\w+)\(", header, re.M))
    symbols = run("nm", "-D", "--defined-only", LIBRARY)[1].split("\n")
    exported = {line.split()[-1].split("@")[0] for line in symbols if line}
    exported = {name for name in exported if not name.startswith("_")}
    return [f"exported, but not in mulm.h: {name}" for name in sorted(exported - promised)] + [
        f"in mulm.h, but not exported: {name}" for name in sorted(promised - exported)
    ]


def check_needed():
    complaints = [f"needs {name}" for name in sorted(needed() - NEEDED - SANITIZERS)]
    if dynamic("SONAME") != ["libmulm.so.1"]:
        complaints.append(f"its soname is {dynamic('SONAME')}")
    return complaints


def check_header(compiler, language, standard):
    return complaints_of(
        compiler, f"-x{language}", f"-std={standard}", "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only",
        f"-I{ROOT}/libmulm", "-", input='#include "mulm.h"\n',
    )  # fmt: skip


def installed_flags(folder):
    """What pkg-config says of the tree in `folder`."""
    pc = next(
        os.path.join(at, "libmulm.pc") for at, _, names in os.walk(folder) if "libmulm.pc" in names
    )
    prefix = folder + re.search(r"^prefix=(.*)$", open(pc, encoding="utf-8").read(), re.M)[1]
    command = ["pkg-config", f"--define-variable=prefix={prefix}", "--cflags", "--libs", pc]
    return run(*command)[1].split()


def check_examples():
    with tempfile.TemporaryDirectory() as folder:
        tags = ("--tags", "devel,runtime")
        complaints = complaints_of("meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", folder, *tags)
        if complaints:
            return complaints
        flags = installed_flags(folder)
        libraries = ":".join(flag[2:] for flag in flags if flag.startswith("-L"))
        for path in files(".c"):
            if not path.startswith("docs/examples/"):
                continue
            program = os.path.join(folder, os.path.basename(path)[:-2])
            warnings = ("-std=c17", "-Wall", "-Wextra", "-Werror")
            complaints += complaints_of("gcc", *warnings, os.path.join(ROOT, path), *flags, "-o", program)
            if not complaints:
                complaints += check_runs(program, {"LD_LIBRARY_PATH": libraries})
        return complaints


def check_runs(program, environment):
    if needed() & SANITIZERS:
        print("# examples are not run: a sanitizer wants to be in the program too")
        return []
    status, output = run(program, MODEL, "why is the sky blue", env=environment)
    return [] if status == 0 and len(output.split()) >= 4 else [f"{program}: {status}: {output}"]


def check_musl():
    """All of libmulm, against musl's headers and those of its two libraries alone."""
    wanted = ["cblas.h", "openblas_config.h", "pcre2.h"]
    cflags = run("pkg-config", "--cflags-only-I", "openblas", "libpcre2-8")[1].split()
    folders = [flag[2:] for flag in cflags] + ["/usr/include"]
    sources = [path for path in files(".c") if path.startswith("libmulm/") and "/tools/" not in path]
    foreign = {"x86_64": ("neon", "dotprod", "i8mm"), "aarch64": ("avx",)}.get(os.uname().machine, ())
    isa = ["-mavx2", "-mfma", "-mf16c"] if os.uname().machine == "x86_64" else []
    with tempfile.TemporaryDirectory() as folder:
        for name in wanted:
            shutil.copy(next(path for at in folders if os.path.exists(path := os.path.join(at, name))), folder)
        complaints = []
        for path in sources:
            if any(word in path for word in foreign):
                continue
            complaints += complaints_of(
                "musl-gcc", "-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O1", '-DMULM_VERSION="0"',
                f"-I{ROOT}", "-isystem", folder, *(isa if "/kernels/avx2" in path else []), "-S", "-o", "/dev/null",
                os.path.join(ROOT, path),
            )  # fmt: skip
        return complaints


def check(name, program, function, *arguments):
    if not shutil.which(program):
        return (name, None, f"{program} is not installed")
    return (name, function(*arguments))


report(
    [
        check("exports what mulm.h promises, and no more", "nm", check_symbols),
        check("needs OpenBLAS and PCRE2, and has a versioned soname", "readelf", check_needed),
        check("the header alone is C", "gcc", check_header, "gcc", "c", "c11"),
        check("the header alone is C++", "clang++", check_header, "clang++", "c++", "c++11"),
        check("examples compile against the installed tree, and run", "pkg-config", check_examples),
        check("clean under musl", "musl-gcc", check_musl),
    ]
)
