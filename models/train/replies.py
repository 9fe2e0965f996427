# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""Stage `replies`: the teacher begins replies to real requests that nobody answered, for the student to learn from.

Requests of equally many tokens are answered together, so none needs padding. What was written stands in a file, one pair
a line, and is not asked for again.
"""

import glob
import os
import random

import torch
from tqdm import tqdm

from . import pairs
from .network import Memory


def requests(folder, banned, n, seed):
    """n real requests, none of them held out or answered in the pairs."""
    found = []
    for path in sorted(glob.glob(os.path.join(folder, "*.txt"))):
        with open(path, encoding="utf-8") as file:
            found += [line.rstrip("\n") for line in file]
    free = [request for request in dict.fromkeys(found) if pairs.plain(request) not in banned and "\t" not in request]
    return random.Random(f"{seed}/requests").sample(free, min(n, len(free)))


@torch.no_grad()
def answer(teacher, heads, end, settings, generator):
    """Sampled replies to requests of one length; those that came to no end are None."""
    memories = [Memory() for _ in teacher.blk]
    device = torch.get_default_device()
    tokens, written = torch.tensor(heads), []
    for _ in range(settings["longest_reply"]):
        logits = teacher.head(teacher.next_states(tokens, memories)).cpu()
        chances = torch.softmax(logits / settings["temperature"], -1)
        tokens = torch.multinomial(chances, 1, generator=generator).to(device)
        written.append(tokens)
        if all(end in row for row in torch.cat(written, 1).tolist()):
            break
    rows = torch.cat(written, 1).tolist()
    return [row[: row.index(end)] if end in row else None for row in rows]


def groups(vocabulary, wanted, size):
    by_length = {}
    for request in wanted:
        head = pairs.head(vocabulary, [request])
        by_length.setdefault(len(head), []).append((request, head))
    return [same[i : i + size] for _, same in sorted(by_length.items()) for i in range(0, len(same), size)]


def write(path, teacher, vocabulary, wanted, settings, seed):
    """Appends to `path`, group by group, what it lacks; returns all pairs in it."""
    done = {item[0] for item in pairs.read(path)} if os.path.exists(path) else set()
    wanted = [request for request in wanted if request not in done]
    for number, group in enumerate(tqdm(groups(vocabulary, wanted, settings["batch"]), desc="replies", unit="group")):
        generator = torch.Generator("cpu").manual_seed(seed * 100003 + len(done) + number)
        rows = answer(teacher, [head for _, head in group], vocabulary.end, settings, generator)
        with open(path, "a", encoding="utf-8") as file:
            for (request, _), row in zip(group, rows):
                reply = " ".join(vocabulary.decode(row).split()) if row else ""
                if reply:
                    print(request, reply, sep="\t", file=file)
    return pairs.read(path) if os.path.exists(path) else []
