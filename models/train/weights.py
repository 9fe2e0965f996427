# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""Reads a GGUF of the llama architecture: vocabulary, shape, weights in F32 whatever they are stored in."""

import functools

import gguf
import numpy as np
import torch

from .network import Network
from .shape import Shape
from .vocabulary import Vocabulary, byte_characters


class File:
    """An open GGUF. Its tokens are a field each to the reader, which takes seconds: open a file once."""

    def __init__(self, path):
        self.reader = gguf.GGUFReader(path)
        self.tensors = {tensor.name: tensor for tensor in self.reader.tensors}

    @functools.lru_cache(maxsize=None)
    def value(self, key):
        return self.reader.fields[key].contents()

    def vocabulary(self):
        return Vocabulary(self.value("tokenizer.ggml.tokens"), self.value("tokenizer.ggml.merges"))

    def shape(self):
        return Shape(
            vocabulary=len(self.value("tokenizer.ggml.tokens")),
            layers=self.value("llama.block_count"),
            width=self.value("llama.embedding_length"),
            heads=self.value("llama.attention.head_count"),
            kv_heads=self.value("llama.attention.head_count_kv"),
            feed_forward=self.value("llama.feed_forward_length"),
            rope_base=self.value("llama.rope.freq_base"),
            epsilon=self.value("llama.attention.layer_norm_rms_epsilon"),
        )

    def tensor(self, name):
        tensor = self.tensors[name]
        array = np.array(gguf.dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
        return torch.from_numpy(array).to(torch.get_default_device()).reshape([int(n) for n in reversed(tensor.shape)])


def embedding_for(file, vocabulary):
    """Rows of the file's embedding for another vocabulary; a byte that the file lacks gets the mean of its bytes."""
    number = {token: i for i, token in enumerate(file.value("tokenizer.ggml.tokens"))}
    rows = file.tensor("token_embd.weight")
    mean = rows[[number[byte] for byte in byte_characters() if byte in number]].mean(0)
    return torch.stack([rows[number[token]] if token in number else mean for token in vocabulary.tokens])


def read(file, vocabulary=None, layers=None):
    """The network of a GGUF, open or a path: cut down to some of its layers, and to another vocabulary, where given."""
    file = file if isinstance(file, File) else File(file)
    vocabulary = vocabulary or file.vocabulary()
    shape = file.shape()
    layers = list(range(shape.layers)) if layers is None else layers
    network = Network(shape._replace(vocabulary=len(vocabulary.tokens), layers=len(layers)))
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name == "token_embd.weight":
                parameter.copy_(embedding_for(file, vocabulary))
                continue
            part = name.split(".")
            if part[0] == "blk":
                part[1] = str(layers[int(part[1])])
            parameter.copy_(file.tensor(".".join(part)))
    return network


def some_layers(network, layers):
    """A smaller network: the same embedding and last norm, and copies of some of the layers."""
    smaller = Network(network.shape._replace(layers=len(layers)))
    state = {name: value for name, value in network.state_dict().items() if not name.startswith("blk.")}
    for i, layer in enumerate(layers):
        for name, value in network.blk[layer].state_dict().items():
            state[f"blk.{i}.{name}"] = value
    smaller.load_state_dict(state)
    return smaller


@torch.no_grad()
def mix(network, other, share):
    """Moves the weights towards those of another training of the same network: a mean of both fits new text better than
    either (Wortsman et al., Model soups, arXiv 2203.05482)."""
    for mine, theirs in zip(network.parameters(), other.parameters(), strict=True):
        mine.lerp_(theirs, share)
