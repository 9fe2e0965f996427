# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""The hyper-parameters of a Llama."""

from typing import NamedTuple


class Shape(NamedTuple):
    vocabulary: int
    layers: int
    width: int = 576
    heads: int = 9
    kv_heads: int = 3
    feed_forward: int = 1536
    rope_base: float = 1e5
    epsilon: float = 1e-5
