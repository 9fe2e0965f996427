# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""Measures a model on the held-out pairs, beside its parent, and finds the gate.

    cd models && python3 -m eval --parent PARENT.gguf [--judged N] [--seams N] [--output FOLDER] MODEL.gguf...

The parent (SmolLM2-135M-Instruct) judges: fluency and the seam are its losses. Weights are used in F32, as dequantised;
held-out.py has the figures of libmulm's own arithmetic. Prints a table; writes measures.json,
openers.json (each opener, word by word), measures.png and gate.png.
"""

import argparse
import json
import os
import sys

import torch

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from eval import gate, judge, plots, speak  # noqa: E402
from train import losses, pairs, weights  # noqa: E402

DATA = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "data")
SETS = ("written", "real")


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else float("nan")


def head_losses(network, vocabulary, items):
    """Nats a word over the first 4 and 8 words; nats a token over the first 12 tokens and over all."""
    by_item = speak.word_losses(network, vocabulary, items)
    found = losses.measure(network, [pairs.encode(vocabulary, item) for item in items])
    for n in (4, 8):
        found[f"words{n}"] = mean(loss for item in by_item for loss in item[:n])
    return found


def with_reply(item, reply):
    return [*item[:-1], reply]


class Parent:
    """The judge: its losses of what others say."""

    def __init__(self, path):
        file = weights.File(path)
        self.vocabulary, self.network = file.vocabulary(), weights.read(file)
        self.known = {}

    def losses(self, items):
        new = [item for item in items if tuple(item) not in self.known]
        for item, each in zip(new, speak.word_losses(self.network, self.vocabulary, new)):
            self.known[tuple(item)] = each
        return [self.known[tuple(item)] for item in items]

    def seam(self, items, openers):
        """Nats a word of each reference's continuation, after an opener in place of the reference's own beginning."""
        rests = [judge.words(item[-1])[judge.OPENER_WORDS :] for item in items]
        texts = [with_reply(item, " ".join([opener, *rest])) for item, opener, rest in zip(items, openers, rests)]
        return [mean(loss[-len(rest) :]) if rest else None for loss, rest in zip(self.losses(texts), rests)]


def judged(items, openers):
    """One row for each opener: what its words say of it."""
    rows = []
    for item, opener in zip(items, openers):
        unsafe = judge.unsafe_words(item[-2], opener, item[-1])
        rows.append({"question": item[-2], "opener": opener, "unsafe_words": unsafe, "safe": not unsafe,
                     "grounded": judge.is_grounded(" ".join(item[:-1:2]), opener)})
    return rows


def add_losses(parent, items, rows, limit):
    """What the parent says of some of the openers."""
    spoken = [(item, row) for item, row in zip(items, rows) if row["opener"]]
    for (_, row), each in zip(spoken, parent.losses([with_reply(item, row["opener"]) for item, row in spoken])):
        row["losses"], row["fluent"] = each, mean(each) <= limit


def summary(rows):
    stock = judge.stock_phrases([row["opener"] for row in rows])
    known = [row for row in rows if "losses" in row]
    return {
        "grounded": mean(row["grounded"] for row in rows),
        "safe": mean(row["safe"] for row in rows),
        "stock": sum(stock.values()),
        "stock_phrases": stock,
        "fluent": mean(row["fluent"] for row in known),
        "fluency_loss": mean(loss for row in known for loss in row["losses"]),
        "words": mean(len(judge.words(row["opener"])) for row in rows)}


def limit_of(parent, items, share=0.9):
    """The loss a word that this share of the reference openers stays below: what counts as fluent."""
    each = parent.losses([with_reply(item, judge.opening(item[-1])) for item in items])
    return sorted(mean(loss) for loss in each)[int(share * len(each))]


class Set:
    """One held-out set: all of it, the part whose openers the parent judges, and the part whose seams it does."""

    def __init__(self, parent, items, n_judged, n_seams):
        self.parent, self.items = parent, items
        self.judged_every = max(1, len(items) // n_judged)
        self.seams = items[:: max(1, len(items) // n_seams)][:n_seams]
        self.limit = limit_of(parent, items[:: self.judged_every])

    def measure(self, items, openers):
        """(rows, figures) of an opener for each of the items, all of the set or the part for seams."""
        rows = judged(items, openers)
        every = self.judged_every if items is self.items else 1
        add_losses(self.parent, items[::every], rows[::every], self.limit)
        found = summary(rows)
        by_question = {item[-2]: opener for item, opener in zip(items, openers)}
        seams = self.parent.seam(self.seams, [by_question[item[-2]] for item in self.seams])
        found["seam"] = mean(value for value in seams if value is not None)
        return rows, found

    def references(self):
        return self.measure(self.items, [judge.opening(item[-1]) for item in self.items])[1]

    def parents_own(self):
        own = speak.openers(self.parent.network, self.parent.vocabulary, self.seams, judge.OPENER_WORDS)
        found = self.measure(self.seams, [text_of(words) for words in own])[1]
        return found | head_losses(self.parent.network, self.parent.vocabulary, self.seams)

    def model(self, network, vocabulary):
        said = speak.openers(network, vocabulary, self.items, judge.OPENER_WORDS)
        rows, found = self.measure(self.items, [text_of(words) for words in said])
        for row, words in zip(rows, said):
            row["words"] = words
        return rows, found | head_losses(network, vocabulary, self.items)


def text_of(words):
    return " ".join(word["text"] for word in words)


COLUMNS = {"head": "12 tokens", "all": "all", "words4": "4 words", "words8": "8 words", "grounded": "grounded",
           "fluent": "fluent", "safe": "safe", "stock": "stock", "seam": "seam"}
SHARES = {"grounded", "fluent", "safe", "stock"}


def table(figures):
    lines = []
    for name, by_model in figures.items():
        lines += [f"{name:24}" + "".join(f"{title:>11}" for title in COLUMNS.values())]
        for model, found in by_model.items():
            cells = [("-" if key not in found else f"{found[key]:.0%}" if key in SHARES else f"{found[key]:.3f}")
                     for key in COLUMNS]
            lines.append(f"  {model:22}" + "".join(f"{cell:>11}" for cell in cells))
    return "\n".join(lines)


def without_curves(gates):
    signals = {name: {key: value for key, value in found.items() if key != "curve"}
               for name, found in gates["signals"].items()}
    return gates | {"signals": signals}


def write_json(path, found):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(found, file, indent=1, ensure_ascii=False)
        file.write("\n")


def main():
    parser = argparse.ArgumentParser(prog="python3 -m eval", description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", metavar="MODEL.gguf")
    parser.add_argument("--parent", required=True, help="GGUF of SmolLM2-135M-Instruct")
    parser.add_argument("--judged", type=int, default=150, help="openers of each set that the parent judges (150)")
    parser.add_argument("--seams", type=int, default=100, help="seams of each set, and openers of the parent's own (100)")
    parser.add_argument("--output", default=".", help="folder of measures.json and the plots")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    parent = Parent(options.parent)
    files = {os.path.basename(path): weights.File(path) for path in options.models}
    models = {name: (weights.read(file), file.vocabulary()) for name, file in files.items()}
    figures, rows = {}, {}
    for name in SETS:
        held_out = Set(parent, pairs.read(os.path.join(DATA, f"held-out-{name}.tsv")), options.judged, options.seams)
        figures[name], rows[name] = {"reference": held_out.references(), "parent": held_out.parents_own()}, {}
        for model, (network, vocabulary) in models.items():
            rows[name][model], figures[name][model] = held_out.model(network, vocabulary)
    print(table(figures))
    last = list(models)[-1]
    gates = gate.find([row for name in SETS for row in rows[name][last] if "losses" in row])
    print(gate.table(last, gates))
    os.makedirs(options.output, exist_ok=True)
    write_json(os.path.join(options.output, "openers.json"), rows)
    write_json(os.path.join(options.output, "measures.json"), {"figures": figures, "gate": {last: without_curves(gates)}})
    plots.measures(figures, os.path.join(options.output, "measures.png"))
    plots.gate(gates, os.path.join(options.output, "gate.png"))


if __name__ == "__main__":
    main()
