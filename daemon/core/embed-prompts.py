#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""The texts of config/prompts as C, so that mulmd has them where the files are not: embed-prompts.py FILE... > C"""

import os
import sys


def quoted(line):
    escaped = line.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("?", "\\?")
    return f'        "{escaped}"'


print('/* Made from config/prompts by embed-prompts.py. */\n#include "daemon/core/prompts-builtin.h"\n')
for path in sys.argv[1:]:
    name = os.path.basename(path).removesuffix(".txt")
    with open(path, encoding="utf-8") as file:
        lines = file.read().rstrip("\n").splitlines(keepends=True)
    print(f"const char prompts_builtin_{name}[] =\n" + "\n".join(map(quoted, lines)) + ";\n")
