# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""A narrower network than another, with what it uses most: where the small model begins.

Of the hidden dimensions, the feed-forward's neurons, and the key and value heads with the query heads that share them,
those stay that say most on some text (Muralidharan et al., Compact Language Models via Pruning and Knowledge
Distillation, arXiv 2407.14679).
"""

import torch

from . import losses
from .network import Network


class Watch:
    """What there is to choose by on some text: of every dimension of the hidden states, how much the norms give, all
    together, and the share that it has in the square of what each norm takes; and how much the outputs of every layer's two
    halves take."""

    def __init__(self, network):
        self.states = torch.zeros(network.shape.width)
        self.shares = {}
        self.heads = [torch.zeros(network.shape.width) for _ in network.blk]
        self.neurons = [torch.zeros(network.shape.feed_forward) for _ in network.blk]
        self.hooks = [network.output_norm.register_forward_hook(self.add_norm)]
        for i, layer in enumerate(network.blk):
            self.hooks += [norm.register_forward_hook(self.add_norm) for norm in (layer.attn_norm, layer.ffn_norm)]
            self.hooks.append(layer.attn_output.register_forward_pre_hook(self.adder(self.heads[i])))
            self.hooks.append(layer.ffn_down.register_forward_pre_hook(self.adder(self.neurons[i])))

    @staticmethod
    def adder(total):
        def add(_, inputs):
            total.add_(inputs[0].abs().flatten(0, -2).sum(0))

        return add

    def add_norm(self, norm, inputs, output):
        self.states += output.abs().flatten(0, -2).sum(0)
        squares = inputs[0].square()
        share = (squares / squares.sum(-1, keepdim=True)).flatten(0, -2).sum(0)
        self.shares[norm] = self.shares.get(norm, 0.0) + share

    def close(self):
        for hook in self.hooks:
            hook.remove()

    def weight(self, norm, kept):
        """A norm's weights for the dimensions that stay, with which it gives what it gave, as far as they had the square."""
        share = self.shares[norm]
        return norm.weight[kept] * (share[kept].sum() / share.sum() * len(share) / len(kept)).sqrt()


@torch.no_grad()
def watch(network, encoded, n=64):
    found = Watch(network)
    for start in range(0, len(encoded), n):
        network.states(losses.pad(encoded[start : start + n])[0])
    found.close()
    return found


def best(scores, n):
    """Indices of the n greatest, in their order."""
    return torch.topk(scores, n).indices.sort().values


def best_heads(layer, inputs, n_kv_heads):
    """The rows of the query heads, and of the key and value heads, of the groups whose output is greatest."""
    span = layer.heads // layer.kv_heads * layer.head_width
    scores = (inputs * layer.attn_output.weight.norm(dim=0)).view(layer.kv_heads, span).sum(1)
    kept = best(scores, n_kv_heads)[:, None]
    return (kept * span + torch.arange(span)).flatten(), (kept * layer.head_width + torch.arange(layer.head_width)).flatten()


@torch.no_grad()
def narrowed(network, encoded, width, feed_forward):
    """`encoded` is the text to choose by; `width` a multiple of what the query heads that share a key head span."""
    shape, found = network.shape, watch(network, encoded)
    n_kv_heads = width * shape.kv_heads // shape.width
    smaller = Network(shape._replace(
        width=width, heads=width * shape.heads // shape.width, kv_heads=n_kv_heads, feed_forward=feed_forward))
    states = best(found.states, width)
    smaller.token_embd.weight.copy_(network.token_embd.weight[:, states])
    smaller.output_norm.weight.copy_(found.weight(network.output_norm, states))
    for i, (old, new) in enumerate(zip(network.blk, smaller.blk)):
        queries, keys = best_heads(old, found.heads[i], n_kv_heads)
        neurons = best(found.neurons[i] * old.ffn_down.weight.norm(dim=0), feed_forward)
        inward = {"attn_q": queries, "attn_k": keys, "attn_v": keys, "ffn_gate": neurons, "ffn_up": neurons}
        outward = {"attn_output": queries, "ffn_down": neurons}
        for name, rows in inward.items():
            getattr(new, name).weight.copy_(getattr(old, name).weight[rows][:, states])
        for name, columns in outward.items():
            getattr(new, name).weight.copy_(getattr(old, name).weight[states][:, columns])
        for name in ("attn_norm", "ffn_norm"):
            getattr(new, name).weight.copy_(found.weight(getattr(old, name), states))
    return smaller
