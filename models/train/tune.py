# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""Stages `teacher` and `tune`: a network on the pairs by plain cross entropy."""

from . import losses, pairs
from .loop import Loop


def batches_from(vocabulary, items, settings, seed, name):
    """A function of a step that goes on with the batches from there, pass after pass, each roughened anew."""

    def batches(step):
        number = 0
        while True:
            seed_of_pass = f"{seed}/{name}/{number}"
            encoded = pairs.encode_all(
                vocabulary, items, seed_of_pass, settings["cut"], settings["share_whole"], settings["longest"])
            for batch in pairs.batch(encoded, settings["batch_tokens"], seed_of_pass):
                if step > 0:
                    step -= 1
                else:
                    yield batch
            number += 1

    return batches


def run(folder, name, network, vocabulary, items, watched, settings, seed):
    """Trains `network` and leaves its averaged weights in it."""
    network.token_embd.requires_grad_(not settings["freeze_embedding"])
    for layer in network.blk[: settings["freeze_layers"]]:
        layer.requires_grad_(False)

    def step_loss(batch, _):
        each, place = losses.token_losses(network, batch)
        loss = losses.weighted(each, place, settings["head_weight"])
        return loss, {"loss": loss.detach()}, sum(len(tokens) for tokens, _ in batch)

    encoded = [pairs.encode(vocabulary, item) for item in watched]
    Loop(folder, name, network, settings).run(
        batches_from(vocabulary, items, settings, seed, name), step_loss, lambda: losses.measure(network, encoded))
    return network
