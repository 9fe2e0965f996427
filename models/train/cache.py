# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""Stage `cache`: what the teacher thinks of every pair, computed once and kept in shards that can be mapped.

A shard is NAME.pt, the encoded conversations and where each begins, and NAME.npy, for each token the states after the
wanted layers and, last, after the teacher's last norm, in F16.
"""

import glob
import os

import numpy as np
import torch
from tqdm import tqdm

from . import losses, pairs

SHARD = 512  # conversations
BATCH_TOKENS = 2048
F16_MAX = 6e4


def names(folder):
    return sorted(path[:-3] for path in glob.glob(os.path.join(folder, "cache-*.pt")))


@torch.no_grad()
def think(teacher, wanted, encoded, states):
    """Fills `states`; returns each conversation's entry: (tokens, replies, where it begins)."""
    entries, pending, at = [], sorted(encoded, key=lambda entry: len(entry[0])), 0
    while pending:
        n = max(1, BATCH_TOKENS // len(pending[-1][0]))
        group, pending = pending[-n:], pending[:-n]
        last, inner = teacher.states(losses.pad(group)[0], wanted)
        stack = torch.stack([*inner, last], 2).clamp(-F16_MAX, F16_MAX).half().cpu().numpy()
        for row, (tokens, replies) in enumerate(group):
            states[at : at + len(tokens)] = stack[row, : len(tokens)]
            entries.append((tokens, replies, at))
            at += len(tokens)
    return entries


def make(path, teacher, vocabulary, items, settings, seed):
    """Shards whose names begin with `path`."""
    encoded = pairs.encode_all(
        vocabulary, items, f"{seed}/cache", settings["cut"], settings["share_whole"], settings["longest"])
    encoded = encoded[: settings["conversations"]]
    shards = [encoded[start : start + SHARD] for start in range(0, len(encoded), SHARD)]
    for number, shard in enumerate(tqdm(shards, desc="cache", unit="shard")):
        name = f"{path}-{number:03}"
        if os.path.exists(name + ".pt"):
            continue
        shape = (sum(len(tokens) for tokens, _ in shard), len(settings["hidden"]) + 1, teacher.shape.width)
        states = np.lib.format.open_memmap(name + ".npy", mode="w+", dtype=np.float16, shape=shape)
        entries = think(teacher, settings["hidden"], shard, states)
        states.flush()
        torch.save(entries, name + ".part")
        os.replace(name + ".part", name + ".pt")


def load(folder):
    """All entries as (tokens, replies, states)."""
    found = []
    for name in names(folder):
        states = np.load(name + ".npy", mmap_mode="r")
        entries = torch.load(name + ".pt", weights_only=True)
        found += [(tokens, replies, states[at : at + len(tokens)]) for tokens, replies, at in entries]
    return found
