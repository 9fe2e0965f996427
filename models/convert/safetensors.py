# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""Reads the tensors of a Hugging Face folder: one safetensors file, or several with an index.

Read here rather than with the library of that name, whose NumPy side does not know BF16.
"""

import json
import math
import os
import struct

import numpy

from .errors import Refused
from .torchfile import widen_bf16

TYPES = {
    "F64": lambda raw: numpy.frombuffer(raw, "<f8"),
    "F32": lambda raw: numpy.frombuffer(raw, "<f4"),
    "F16": lambda raw: numpy.frombuffer(raw, "<f2"),
    "BF16": widen_bf16,
}
SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}


def read_header(path, file):
    """(entries, where the data begins)"""
    head = file.read(8)
    n = struct.unpack("<Q", head)[0] if len(head) == 8 else -1
    if not 0 < n <= os.path.getsize(path) - 8:
        raise Refused(f"{path}: its header does not fit the file")
    try:
        header = json.loads(file.read(n))
    except ValueError as error:
        raise Refused(f"{path}: its header is no JSON ({error})") from error
    header.pop("__metadata__", None)
    return header, 8 + n


def read_file(path):
    found = {}
    with open(path, "rb") as file:
        header, start = read_header(path, file)
        for name, entry in header.items():
            kind, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
            if kind not in TYPES:
                raise Refused(f"{path}: tensor {name} has type {kind}; known are {', '.join(TYPES)}")
            if end - begin != math.prod(shape) * SIZES[kind] or begin < 0 or start + end > os.path.getsize(path):
                raise Refused(f"{path}: tensor {name} has offsets {begin} to {end} for the shape {shape}")
            file.seek(start + begin)
            found[name] = TYPES[kind](file.read(end - begin)).reshape(shape)
    return found


def read(folder):
    """{name: array} of all files of a folder."""
    index = os.path.join(folder, "model.safetensors.index.json")
    if not os.path.exists(index):
        return read_file(os.path.join(folder, "model.safetensors"))
    with open(index, encoding="utf-8") as file:
        names = sorted(set(json.load(file)["weight_map"].values()))
    found = {}
    for name in names:
        if os.path.basename(name) != name:
            raise Refused(f"{index}: {name} is no file of this folder")
        found |= read_file(os.path.join(folder, name))
    return found
