# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""Greedy openers with what the model knew of each word, and losses of texts, both in batches of one length or padded."""

import torch
import torch.nn.functional as F

from train import losses, pairs
from train.network import Memory

BATCH = 32
MAX_TOKENS = 20


@torch.no_grad()
def greedy(network, vocabulary, heads, n_words):
    """For questions of one length, until each has its words: (token, probability, margin to the second, entropy)."""
    starts, n_begun = torch.tensor([token.startswith("Ġ") for token in vocabulary.tokens]), torch.ones(len(heads))
    memories, tokens, steps = [Memory() for _ in network.blk], torch.tensor(heads), []
    for _ in range(MAX_TOKENS):
        chances = torch.softmax(network.head(network.next_states(tokens, memories)), -1)
        best = chances.topk(2, -1)
        entropy = torch.special.entr(chances).sum(-1)
        tokens = best.indices[:, :1]
        n_begun += starts[tokens[:, 0]] + n_words * (tokens[:, 0] == vocabulary.end)
        steps.append(torch.stack((tokens[:, 0].double(), best.values[:, 0].double(),
                                  (best.values[:, 0] - best.values[:, 1]).double(), entropy.double()), -1))
        if n_begun.min() > n_words:
            break
    return torch.stack(steps, 1).tolist()


def gather(vocabulary, steps, n_words):
    """The first whole words of a greedy reply: [{text, probability, margin, entropy}]."""
    found = []
    for token, probability, margin, entropy in steps:
        text = vocabulary.tokens[int(token)]
        if int(token) == vocabulary.end:
            break
        if text.startswith("Ġ") or not found:
            if len(found) == n_words:
                break
            found.append({"tokens": [], "probability": 1.0, "margin": 1.0, "entropy": 0.0})
        word = found[-1]
        word["tokens"].append(int(token))
        word["probability"] *= probability
        word["margin"] = min(word["margin"], margin)
        word["entropy"] = max(word["entropy"], entropy)
    for word in found:
        word["text"] = vocabulary.decode(word.pop("tokens")).strip()
    return [word for word in found if word["text"]]


def openers(network, vocabulary, items, n_words):
    """The opener of each conversation's last reply, as words."""
    by_length, found = {}, [None] * len(items)
    for i, item in enumerate(items):
        head = pairs.head(vocabulary, item[:-1])
        by_length.setdefault(len(head), []).append((i, head))
    for same in by_length.values():
        for start in range(0, len(same), BATCH):
            group = same[start : start + BATCH]
            for (i, _), steps in zip(group, greedy(network, vocabulary, [head for _, head in group], n_words)):
                found[i] = gather(vocabulary, steps, n_words)
    return found


@torch.no_grad()
def word_losses(network, vocabulary, items, n_tokens=1024):
    """Each conversation's last reply as [loss of each word, in nats]; the end of the turn is no word."""
    encoded = [pairs.encode(vocabulary, item) for item in items]
    order, found = sorted(range(len(items)), key=lambda i: len(encoded[i][0])), [None] * len(items)
    while order:
        n = max(1, n_tokens // len(encoded[order[-1]][0]))
        group, order = order[-n:], order[:-n]
        tokens, _ = losses.pad([encoded[i] for i in group])
        states = network.states(tokens)[0]
        for row, i in enumerate(group):
            entry, replies = encoded[i]
            n_reply = len(replies) - 1 - replies[::-1].index(False)
            each = F.cross_entropy(
                network.head(states[row, n_reply : len(entry) - 2]), tokens[row, n_reply + 1 : len(entry) - 1],
                reduction="none").tolist()
            found[i] = by_word(vocabulary, entry[n_reply + 1 : -1], each)
    return found


def by_word(vocabulary, tokens, each):
    sums = []
    for token, loss in zip(tokens, each):
        if vocabulary.tokens[token].startswith("Ġ") or not sums:
            sums.append(0.0)
        sums[-1] += loss
    return sums
