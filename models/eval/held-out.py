#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""Held-out loss of a model, in nats a token, over the replies of tab-separated question-reply files.

    models/eval/held-out.py --library build/libmulm/libmulm.so models/mulm-28m.q8_0.gguf models/data/held-out-*.tsv

Each line has an even number of columns, user and assistant in turn. Every reply token and the end of the turn counts;
so does, in a second figure, only the first 12 of each reply. The arithmetic is libmulm's own, through its public API.
"""
import argparse
import ctypes
import math

import numpy

HEAD = 12


class Mulm:
    """The few calls of mulm.h that are needed here."""

    def __init__(self, library, model):
        self.api = ctypes.CDLL(library)
        self.error = ctypes.create_string_buffer(320)
        self.model = ctypes.c_void_p()
        self.check(self.api.mulm_model_open(ctypes.byref(self.model), model.encode(), None, self.error))
        self.session = ctypes.c_void_p()
        self.check(self.api.mulm_session_new(ctypes.byref(self.session), self.model, None, self.error))
        self.api.mulm_session_logits.restype = ctypes.POINTER(ctypes.c_float)
        self.names = {}
        data, length, token = ctypes.c_char_p(), ctypes.c_size_t(), 0
        while self.api.mulm_token_bytes(self.model, token, ctypes.byref(data), ctypes.byref(length)) == 0:
            self.names[ctypes.string_at(data, length.value)] = token
            token += 1
        self.n_vocabulary = token

    def check(self, result):
        if result < 0:
            raise SystemExit(self.error.value.decode() or f"error {result}")

    def tokenize(self, text):
        data, n = text.encode(), ctypes.c_size_t()
        tokens = (ctypes.c_uint32 * (len(data) + 1))()
        self.check(self.api.mulm_tokenize(self.model, data, ctypes.c_size_t(len(data)), tokens,
                                          ctypes.c_size_t(len(tokens)), ctypes.byref(n), self.error))
        return list(tokens[:n.value])

    def loss(self, tokens, target):
        """Negative log probability of `target` after `tokens`."""
        array = (ctypes.c_uint32 * len(tokens))(*tokens)
        self.check(self.api.mulm_session_evaluate(self.session, array, ctypes.c_size_t(len(tokens)), self.error))
        logits = numpy.ctypeslib.as_array(self.api.mulm_session_logits(self.session), (self.n_vocabulary,))
        logits = logits.astype(numpy.float64)
        top = logits.max()
        return top + math.log(numpy.exp(logits - top).sum()) - logits[target]


def turns(mulm, columns):
    """(tokens of the conversation, positions of the reply tokens by turn)"""
    start, end = mulm.names[b"<|im_start|>"], mulm.names[b"<|im_end|>"]
    newline = mulm.tokenize("\n")
    tokens, replies = [], []
    for i in range(0, len(columns), 2):
        tokens += [start] + mulm.tokenize("user\n") + mulm.tokenize(columns[i]) + [end] + newline
        tokens += [start] + mulm.tokenize("assistant\n")
        reply = mulm.tokenize(columns[i + 1]) + [end]
        replies.append(range(len(tokens), len(tokens) + len(reply)))
        tokens += reply + newline
    return tokens, replies


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--library", required=True, help="path of libmulm.so")
    parser.add_argument("model")
    parser.add_argument("files", nargs="+")
    options = parser.parse_args()
    mulm = Mulm(options.library, options.model)

    for file in options.files:
        whole, head, n_items = [], [], 0
        with open(file, encoding="utf-8") as lines:
            for line in lines:
                tokens, replies = turns(mulm, line.rstrip("\n").split("\t"))
                n_items += 1
                for reply in replies:
                    losses = [mulm.loss(tokens[:i], tokens[i]) for i in reply]
                    whole += losses
                    head += losses[:HEAD]
        print(f"{file}: {n_items} items, {len(whole)} tokens: {sum(whole) / len(whole):.3f} "
              f"(first {HEAD} of a reply: {sum(head) / len(head):.3f})", flush=True)


if __name__ == "__main__":
    main()
