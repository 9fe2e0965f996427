# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""A Llama's forward pass in NumPy, in Hugging Face's layout, as plain as the papers have it; and checkpoints to read.

RMSNorm (arXiv 1910.07467), rotary embedding with rotated halves (2104.09864), grouped queries (2305.13245), SwiGLU (2002.05202).
"""

import contextlib
import io
import json
import pickle
import struct
import sys
import types
import zipfile

import numpy

SWEN = {"width": 512, "layers": 8, "heads": 8, "kv_heads": 2, "feed_forward": 1408, "rope_base": 1e6, "epsilon": 1e-5}


def random_state(shape, n_tokens, seed):
    """A state dict of Hugging Face's names, of weights about as large as trained ones."""
    chance = numpy.random.default_rng(seed)
    width, key_width = shape["width"], shape["width"] // shape["heads"] * shape["kv_heads"]

    def matrix(rows, columns):
        return (chance.standard_normal((rows, columns)) / columns**0.5).astype(numpy.float32)

    def norm():
        return (1 + 0.1 * chance.standard_normal(width)).astype(numpy.float32)

    state = {"model.embed_tokens.weight": 2 * matrix(n_tokens, width), "model.norm.weight": norm()}
    for i in range(shape["layers"]):
        state |= {f"model.layers.{i}.{name}.weight": value for name, value in {
            "input_layernorm": norm(), "self_attn.q_proj": matrix(width, width),
            "self_attn.k_proj": matrix(key_width, width), "self_attn.v_proj": matrix(key_width, width),
            "self_attn.o_proj": matrix(width, width), "post_attention_layernorm": norm(),
            "mlp.gate_proj": matrix(shape["feed_forward"], width), "mlp.up_proj": matrix(shape["feed_forward"], width),
            "mlp.down_proj": matrix(width, shape["feed_forward"])}.items()}
    return state


def normed(x, weight, epsilon):
    return x / numpy.sqrt((x * x).mean(-1, keepdims=True) + epsilon) * weight


def rotated(x, base):
    """x: (heads, tokens, size)"""
    size = x.shape[-1]
    angle = numpy.outer(numpy.arange(x.shape[1]), base ** (-numpy.arange(0, size, 2) / size))
    angle = numpy.concatenate((angle, angle), -1)
    halves = numpy.concatenate((-x[..., size // 2 :], x[..., : size // 2]), -1)
    return x * numpy.cos(angle) + halves * numpy.sin(angle)


def attention(x, state, layer, shape):
    n, heads, groups = len(x), shape["heads"], shape["heads"] // shape["kv_heads"]
    query, key, value = (
        (x @ state[f"{layer}.self_attn.{name}_proj.weight"].T).reshape(n, -1, shape["width"] // heads).swapaxes(0, 1)
        for name in "qkv")
    query, key = rotated(query, shape["rope_base"]), rotated(key, shape["rope_base"])
    key, value = key.repeat(groups, 0), value.repeat(groups, 0)
    score = query @ key.swapaxes(1, 2) / query.shape[-1] ** 0.5
    score = numpy.where(numpy.tri(n, dtype=bool), score, -numpy.inf)
    weight = numpy.exp(score - score.max(-1, keepdims=True))
    mixed = (weight / weight.sum(-1, keepdims=True)) @ value
    return mixed.swapaxes(0, 1).reshape(n, -1) @ state[f"{layer}.self_attn.o_proj.weight"].T


def logits(state, tokens, shape):
    """Of the last token, in F64 throughout; a head of its own where the state has one."""
    state = {name: array.astype(numpy.float64) for name, array in state.items()}
    x = state["model.embed_tokens.weight"][tokens]
    for i in range(shape["layers"]):
        layer = f"model.layers.{i}"
        x = x + attention(normed(x, state[f"{layer}.input_layernorm.weight"], shape["epsilon"]), state, layer, shape)
        y = normed(x, state[f"{layer}.post_attention_layernorm.weight"], shape["epsilon"])
        gate = y @ state[f"{layer}.mlp.gate_proj.weight"].T
        up = y @ state[f"{layer}.mlp.up_proj.weight"].T
        x = x + (gate / (1 + numpy.exp(-gate)) * up) @ state[f"{layer}.mlp.down_proj.weight"].T
    head = state.get("lm_head.weight", state["model.embed_tokens.weight"])
    return head @ normed(x[-1], state["model.norm.weight"], shape["epsilon"])


def to_bf16(array):
    """Cut, not rounded: whatever survives is exact."""
    return (numpy.ascontiguousarray(array).view(numpy.uint32) >> 16).astype(numpy.uint16)


def write_safetensors(path, state, kind="F32"):
    header, blobs, at = {}, [], 0
    for name, array in state.items():
        blob = (to_bf16(array) if kind == "BF16" else array).tobytes()
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))


@contextlib.contextmanager
def borrowed_names():
    """Modules of PyTorch's names, so that a pickle can be written that refers to them."""
    made = {name: types.ModuleType(name) for name in ("torch", "torch._utils")}
    rebuild = types.FunctionType((lambda *_: None).__code__, {}, "_rebuild_tensor_v2")
    rebuild.__module__, rebuild.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    storage = type("FloatStorage", (), {"__module__": "torch"})
    made["torch._utils"]._rebuild_tensor_v2, made["torch"].FloatStorage = rebuild, storage
    kept = {name: sys.modules.get(name) for name in made}
    sys.modules |= made
    try:
        yield rebuild, storage
    finally:
        for name, module in kept.items():
            sys.modules.pop(name)
            if module:
                sys.modules[name] = module


def write_pth(path, state):
    """What torch.save() writes of a state dict (torch/serialization.py), without PyTorch."""
    with borrowed_names() as (rebuild, storage), zipfile.ZipFile(path, "w") as archive:

        class Tensor:
            def __init__(self, key, array):
                self.key, self.array = key, array

            def __reduce__(self):
                strides = tuple(step // 4 for step in self.array.strides)
                return rebuild, (self.key, 0, self.array.shape, strides, False, {})

        class Pickler(pickle.Pickler):
            def persistent_id(self, thing):
                return ("storage", storage, thing.name, "cpu", thing.n) if isinstance(thing, Storage) else None

        class Storage:
            def __init__(self, name, n):
                self.name, self.n = name, n

        text = io.BytesIO()
        Pickler(text, 2).dump({name: Tensor(Storage(str(i), array.size), array)
                               for i, (name, array) in enumerate(state.items())})
        archive.writestr("swen/data.pkl", text.getvalue())
        for i, array in enumerate(state.values()):
            archive.writestr(f"swen/data/{i}", array.tobytes())
