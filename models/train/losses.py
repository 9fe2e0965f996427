# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""Losses over reply tokens, in nats a token."""

import torch
import torch.nn.functional as F

HEAD = 12  # the tokens of a reply that an opener can have


def pad(encoded):
    """(tokens, which of them are replies), padded to one length, on the device in use."""
    length = max(len(tokens) for tokens, *_ in encoded)
    tokens = torch.zeros(len(encoded), length, dtype=torch.long, device="cpu")
    replies = torch.zeros(len(encoded), length, dtype=torch.bool, device="cpu")
    for row, (entry, reply, *_) in enumerate(encoded):
        tokens[row, : len(entry)] = torch.tensor(entry, device="cpu")
        replies[row, : len(entry)] = torch.tensor(reply, device="cpu")
    device = torch.get_default_device()
    return tokens.to(device), replies.to(device)


def places(replies):
    """For each token, its place in its reply, from 1; 0 outside replies."""
    place = torch.zeros_like(replies, dtype=torch.long)
    for column in range(1, replies.shape[1]):
        place[:, column] = torch.where(replies[:, column], place[:, column - 1] + 1, 0)
    return place


def token_losses(network, encoded):
    """(loss of each reply token, its place in its reply)"""
    tokens, replies = pad(encoded)
    target = replies[:, 1:]
    states = network.states(tokens)[0][:, :-1][target]
    losses = F.cross_entropy(network.head(states), tokens[:, 1:][target], reduction="none")
    return losses, places(replies)[:, 1:][target]


def weighted(losses, place, head_weight):
    weight = torch.where(place <= HEAD, head_weight, 1.0)
    return (losses * weight).sum() / weight.sum()


@torch.no_grad()
def measure(network, encoded, n_tokens=2048):
    """{all, head}: mean loss of every reply token, and of the first HEAD of each reply."""
    found = []
    entries = sorted(encoded, key=lambda entry: len(entry[0]))
    while entries:
        n = max(1, n_tokens // len(entries[-1][0]))
        found.append(token_losses(network, entries[-n:]))
        del entries[-n:]
    losses, place = (torch.cat(part) for part in zip(*found))
    return {"all": losses.mean().item(), "head": losses[place <= HEAD].mean().item()}
