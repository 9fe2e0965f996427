# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""The Llama network in PyTorch, in GGUF's layout: rotary pairs side by side, head tied to the embedding."""

import torch
import torch.nn.functional as F
from torch import nn


class Norm(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(shape.width))
        self.epsilon = shape.epsilon

    def forward(self, x):
        return F.rms_norm(x, (x.shape[-1],), self.weight, self.epsilon)


def rotate(x, cosine, sine):
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack((a * cosine - b * sine, a * sine + b * cosine), -1).flatten(-2)


class Memory:
    """A layer's keys and values so far; after a first call of any length, tokens come one at a time."""

    def __init__(self):
        self.keys = self.values = None

    def add(self, keys, values):
        if self.keys is not None:
            keys, values = torch.cat((self.keys, keys), 2), torch.cat((self.values, values), 2)
        self.keys, self.values = keys, values
        return keys, values


class Layer(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.heads, self.kv_heads, self.head_width = shape.heads, shape.kv_heads, shape.width // shape.heads
        kv_width = self.kv_heads * self.head_width
        self.attn_norm = Norm(shape)
        self.attn_q = nn.Linear(shape.width, shape.width, bias=False)
        self.attn_k = nn.Linear(shape.width, kv_width, bias=False)
        self.attn_v = nn.Linear(shape.width, kv_width, bias=False)
        self.attn_output = nn.Linear(shape.width, shape.width, bias=False)
        self.ffn_norm = Norm(shape)
        self.ffn_gate = nn.Linear(shape.width, shape.feed_forward, bias=False)
        self.ffn_up = nn.Linear(shape.width, shape.feed_forward, bias=False)
        self.ffn_down = nn.Linear(shape.feed_forward, shape.width, bias=False)

    def attend(self, x, cosine, sine, memory):
        n, length, _ = x.shape
        q = self.attn_q(x).view(n, length, self.heads, self.head_width).transpose(1, 2)
        k = self.attn_k(x).view(n, length, self.kv_heads, self.head_width).transpose(1, 2)
        v = self.attn_v(x).view(n, length, self.kv_heads, self.head_width).transpose(1, 2)
        q, k = rotate(q, cosine, sine), rotate(k, cosine, sine)
        if memory is not None:
            k, v = memory.add(k, v)
        k = k.repeat_interleave(self.heads // self.kv_heads, 1)
        v = v.repeat_interleave(self.heads // self.kv_heads, 1)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=length > 1)
        return self.attn_output(y.transpose(1, 2).reshape(n, length, -1))

    def forward(self, x, cosine, sine, memory=None):
        x = x + self.attend(self.attn_norm(x), cosine, sine, memory)
        y = self.ffn_norm(x)
        return x + self.ffn_down(F.silu(self.ffn_gate(y)) * self.ffn_up(y))


class Network(nn.Module):
    """Parameters carry GGUF's names (token_embd, blk.N.attn_q, output_norm), so that reading and export map nothing."""

    def __init__(self, shape, context=512):
        super().__init__()
        self.shape = shape
        self.token_embd = nn.Embedding(shape.vocabulary, shape.width)
        self.blk = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.output_norm = Norm(shape)
        head_width = shape.width // shape.heads
        frequency = shape.rope_base ** (-torch.arange(0, head_width, 2, dtype=torch.float64) / head_width)
        angle = torch.outer(torch.arange(context, dtype=torch.float64), frequency)
        self.register_buffer("cosine", angle.cos().float(), persistent=False)
        self.register_buffer("sine", angle.sin().float(), persistent=False)

    def states(self, tokens, wanted=()):
        """Hidden states after the last norm, and those after each of the layers in `wanted`."""
        length, found = tokens.shape[1], []
        x = self.token_embd(tokens)
        for i, layer in enumerate(self.blk):
            x = layer(x, self.cosine[:length], self.sine[:length])
            if i in wanted:
                found.append(x)
        return self.output_norm(x), found

    def next_states(self, tokens, memories):
        """States after the last norm, of the last of `tokens`, which follow what the layers' memories hold."""
        start = 0 if memories[0].keys is None else memories[0].keys.shape[2]
        end = start + tokens.shape[1]
        x = self.token_embd(tokens)
        for layer, memory in zip(self.blk, memories):
            x = layer(x, self.cosine[start:end], self.sine[start:end], memory)
        return self.output_norm(x[:, -1])

    def head(self, states):
        return states @ self.token_embd.weight.T
