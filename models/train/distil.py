# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""Stage `distil`: the student learns the teacher's next-word probabilities, its hidden states, and the pairs themselves.

What a teacher's layer says is matched where the student's layer of the same rank stands, each dimension in units of its
deviation; the weight of that falls to nothing, since it is a way to the probabilities and no end. Where it is nothing from
the start, only the teacher's last states are read, and caches may differ in what else they hold.
"""

import numpy as np
import torch
import torch.nn.functional as F

from . import cache, losses, pairs
from .loop import Loop


def deviations(entries, n=256):
    """Standard deviation of each dimension of the hidden states, over some conversations."""
    sample = np.concatenate([states[:, :-1] for _, _, states in entries[:n]]).astype(np.float32)
    return torch.from_numpy(sample.std(0) + 1e-3).to(torch.get_default_device())


def stack(batch, length, n):
    """The last n of the teacher's states, padded, as F32."""
    states = torch.zeros(len(batch), length, n, batch[0][2].shape[-1], device="cpu")
    for row, (tokens, _, found) in enumerate(batch):
        states[row, : len(tokens)] = torch.from_numpy(found[:, -n:].astype(np.float32))
    return states.to(torch.get_default_device())


def hidden_loss(inner, wanted, deviation, real):
    each = [
        F.smooth_l1_loss(mine[real] / deviation[i], wanted[:, :, i][real] / deviation[i])
        for i, mine in enumerate(inner)
    ]
    return sum(each) / len(each)


class Distillation:
    """The loss of a batch; `head` is the teacher's embedding, which turns its states into probabilities."""

    def __init__(self, student, head, entries, settings):
        self.student, self.head, self.settings = student, head, settings
        self.n_hidden = entries[0][2].shape[1] - 1 if settings["hidden_weight"] > 0 else 0
        self.deviation = deviations(entries) if self.n_hidden else None

    def __call__(self, batch, progress):
        tokens, replies = losses.pad(batch)
        states = stack(batch, tokens.shape[1], self.n_hidden + 1)
        last, inner = self.student.states(tokens, range(self.n_hidden))
        target = replies[:, 1:]
        with torch.no_grad():
            teacher = F.log_softmax(states[:, :-1, -1][target] @ self.head.T, -1)
        mine = F.log_softmax(self.student.head(last[:, :-1][target]), -1)
        place = losses.places(replies)[:, 1:][target]
        weight = self.settings["head_weight"]
        kl = losses.weighted((teacher.exp() * (teacher - mine)).sum(-1), place, weight)
        ce = losses.weighted(F.nll_loss(mine, tokens[:, 1:][target], reduction="none"), place, weight)
        loss = self.settings["divergence"] * kl + (1 - self.settings["divergence"]) * ce
        values = {"kl": kl.detach(), "ce": ce.detach()}
        if self.n_hidden:
            real = tokens > 0
            hidden = hidden_loss(inner, states, self.deviation, real)
            loss = loss + self.settings["hidden_weight"] * (1 - progress) * hidden
            values["hidden"] = hidden.detach()
        return loss, values, sum(len(entry[0]) for entry in batch)


def run(folder, name, student, head, vocabulary, watched, settings, seed):
    entries = cache.load(folder)

    def batches(step):
        number = 0
        while True:
            seed_of_pass = f"{seed}/{name}/{number}"
            order = pairs.shuffled(entries, seed_of_pass)
            for batch in pairs.batch(order, settings["batch_tokens"], seed_of_pass):
                if step > 0:
                    step -= 1
                else:
                    yield batch
            number += 1

    encoded = [pairs.encode(vocabulary, item) for item in watched]
    Loop(folder, name, student, settings).run(
        batches, Distillation(student, head, entries, settings), lambda: losses.measure(student, encoded))
    return student
