# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""The byte-level BPE vocabulary: read from a GGUF, or chosen among the parent's tokens by their use in the data.

A token is kept with the tokens it is merged from, all the way down, so every merge that is kept can still happen. All 256
bytes are kept or added: no input is without tokens.
"""

import json
from collections import Counter

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
COMMON_RANK = 9000  # the parent's first merges: plain words and their parts
COMMON_BONUS = 3  # what being one of those weighs, in occurrences


def byte_characters():
    """The character by which GPT-2's byte-level BPE writes each byte."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    shifted = iter(range(256, 512))
    return [chr(byte if byte in printable else next(shifted)) for byte in range(256)]


class Vocabulary:
    """Token texts in order, and merges as "left right" in order."""

    def __init__(self, tokens, merges):
        self.tokens, self.merges = tokens, merges
        self.number = {token: i for i, token in enumerate(tokens)}
        pairs = [tuple(merge.split(" ")) for merge in merges]
        self.bpe = Tokenizer(models.BPE(self.number, pairs))
        self.bpe.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
        self.bpe.decoder = decoders.ByteLevel()
        self.start, self.end = self.number["<|im_start|>"], self.number["<|im_end|>"]

    def encode(self, text):
        return self.bpe.encode(text).ids

    def decode(self, tokens):
        return self.bpe.decode(tokens)

    def save(self, path):
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"tokens": self.tokens, "merges": self.merges}, file, ensure_ascii=False)

    @classmethod
    def load(cls, path):
        with open(path, encoding="utf-8") as file:
            return cls(**json.load(file))


def choose(parent, texts, size):
    """The `size` tokens of `parent` that `texts` need most."""
    used = Counter()
    for text in texts:
        used.update(parent.bpe.encode(text).tokens)
    origin, rank = {}, {}
    for i, merge in enumerate(parent.merges):
        token = merge.replace(" ", "")
        if token not in origin:
            origin[token], rank[token] = merge.split(" "), i

    def score(token):
        plain = token.isascii() and token.lstrip("Ġ").isalpha() and rank[token] < COMMON_RANK
        return used[token] + COMMON_BONUS * plain, -rank[token]

    fixed = SPECIAL + byte_characters()
    kept, room = set(), size - len(fixed)
    for token in sorted(origin, key=score, reverse=True):
        needed = closure(token, origin, kept)
        if len(kept) + len(needed) <= room:
            kept |= needed
        if len(kept) == room:
            break
    merges = [merge for merge in parent.merges if merge.replace(" ", "") in kept]
    return Vocabulary(fixed + sorted(kept, key=rank.get), merges)


def closure(token, origin, kept):
    """`token` and the merged tokens it is made of, less those in `kept`."""
    needed, pending = set(), [token]
    while pending:
        token = pending.pop()
        if token in origin and token not in kept and token not in needed:
            needed.add(token)
            pending += origin[token]
    return needed
