# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""Writes the gate's threshold into a GGUF that has none or another; all else stays as it is, byte for byte.

    cd models && python3 -m eval.stamp MODEL.gguf CONFIDENCE
"""

import os
import sys

import gguf

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from train.export import CONFIDENCE  # noqa: E402

OF_THE_FORMAT = ("GGUF.", "general.architecture", CONFIDENCE)  # written by the writer itself, or anew


def stamp(path, confidence):
    if not 0 <= confidence <= 1:
        raise ValueError(f"confidence {confidence} is not in [0, 1]")
    reader = gguf.GGUFReader(path)
    writer = gguf.GGUFWriter(path + ".part", reader.fields["general.architecture"].contents())
    for name, field in reader.fields.items():
        if not name.startswith(OF_THE_FORMAT):
            inner = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(name, field.contents(), field.types[0], sub_type=inner)
    writer.add_float32(CONFIDENCE, confidence)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(path + ".part", path)


if __name__ == "__main__":
    stamp(sys.argv[1], float(sys.argv[2]))
