# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""Makes a model, from the parent's weights and the pairs to GGUF files.

    cd models && python3 -m train [--config FILE] [--work FOLDER] [--until STAGE]

Stages, each skipped where its result stands and gone on with where it was interrupted: vocabulary, teacher, replies, cache,
distil, tune, export. One whose table the configuration lacks is left out. A configuration with a name has a cache,
distillation and tuning of its own beside those of others in the folder; distillation reads every cache there. One that
comes `after` another has the parent, the vocabulary, the teacher and the seed of that one.
"""

import argparse
import hashlib
import os
import tomllib

import torch

from . import cache, distil, export, narrow, pairs, replies, tune, weights
from .vocabulary import Vocabulary, choose

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.join(os.path.dirname(HERE), "data")
REQUESTS = os.path.join(os.path.dirname(os.path.dirname(HERE)), "tests", "data", "prompts")
SHARED = ["seed", "device", "threads", "watched", "parent", "vocabulary", "teacher"]  # with the recipe it comes after
STAGES = ["vocabulary", "teacher", "replies", "cache", "distil", "tune", "export"]


class Recipe:
    """The stages over one work folder; each is a method of its name."""

    def __init__(self, path, work):
        with open(path, "rb") as file:
            self.settings = tomllib.load(file)
        if "after" in self.settings:
            with open(os.path.join(os.path.dirname(path), self.settings["after"]), "rb") as file:
                before = tomllib.load(file)
            self.settings = {key: before[key] for key in SHARED if key in before} | self.settings
        self.work, self.seed = work, self.settings["seed"]
        os.makedirs(work, exist_ok=True)
        torch.manual_seed(self.seed)
        torch.set_num_threads(self.settings["threads"])
        torch.set_default_device(self.settings["device"])
        items, n_dropped = pairs.training(DATA)
        self.items, self.watched = pairs.split(items, self.settings["watched"], self.seed)
        print(f"{len(self.items)} conversations, {len(self.watched)} watched, {n_dropped} held out", flush=True)

    def path(self, name):
        return os.path.join(self.work, name)

    def own(self, name):
        """What a stage's results are called."""
        return f"{name}-{self.settings['name']}" if "name" in self.settings else name

    def parent(self):
        path, known = self.path(self.settings["parent"]["file"]), self.settings["parent"]["sha256"]
        with open(path, "rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != known:
                raise SystemExit(f"{path} is not the parent that this recipe is for (SHA-256 {known})")
        return path

    def vocabulary(self):
        path, settings = self.path("vocabulary.json"), self.settings["vocabulary"]
        if not os.path.exists(path) and "keep" in settings:
            weights.File(self.path(settings["keep"])).vocabulary().save(path)
        elif not os.path.exists(path):
            parent = weights.File(self.parent()).vocabulary()
            choose(parent, (text for item in self.items for text in item), settings["size"]).save(path)
        return Vocabulary.load(path)

    def teacher(self):
        settings = self.settings["teacher"]
        network = weights.read(self.parent(), self.vocabulary(), settings["layers"])
        return tune.run(
            self.work, "teacher", network, self.vocabulary(), self.items, self.watched, settings, self.seed)

    def replies(self):
        settings = self.settings["replies"]
        banned = {pairs.plain(question) for item in self.items for question in item[0::2]}
        banned |= pairs.held_out_questions(DATA)
        wanted = replies.requests(REQUESTS, banned, settings["requests"], self.seed)
        return replies.write(
            self.path("replies.tsv"), self.teacher(), self.vocabulary(), wanted, settings, self.seed)

    def some(self, settings):
        """The conversations that a stage's table lists (`only`), or all but those (`without`), or all."""
        if "only" not in settings and "without" not in settings:
            return self.items
        with open(os.path.join(HERE, settings.get("only") or settings["without"]), encoding="ascii") as file:
            listed = set(file.read().split())
        return [item for item in self.items if (pairs.digest(item) in listed) == ("only" in settings)]

    def cache(self):
        items = self.some(self.settings["cache"]) + (self.replies() if "replies" in self.settings else [])
        cache.make(self.path(self.own("cache")), self.teacher(), self.vocabulary(), items, self.settings["cache"],
                   self.seed)

    def student(self):
        """Where the student begins: the teacher or a GGUF, of either some of the layers, and narrower where told."""
        settings = self.settings["student"]
        network = weights.read(self.path(settings["start"])) if "start" in settings else self.teacher()
        if "layers" in settings:
            network = weights.some_layers(network, settings["layers"])
        if "width" in settings:
            encoded = [pairs.encode(self.vocabulary(), item) for item in self.items[: settings["conversations"]]]
            network = narrow.narrowed(network, encoded, settings["width"], settings["feed_forward"])
        return network

    def distil(self):
        settings, teacher = self.settings["distil"], self.teacher()
        head = teacher.token_embd.weight.detach()
        return distil.run(self.work, self.own("distil"), self.student(), head, self.vocabulary(), self.watched,
                          settings, self.seed)

    def tune(self):
        settings = self.settings["tune"]
        network = self.distil() if "distil" in self.settings else self.student()
        return tune.run(
            self.work, self.own("tune"), network, self.vocabulary(), self.some(settings), self.watched, settings,
            self.seed)

    def export(self):
        network, settings = self.tune() if "tune" in self.settings else self.distil(), self.settings["export"]
        if "mix" in settings:
            weights.mix(network, weights.read(self.path(settings["mix"])), settings["share"])
        export.write_all(self.work, network, self.vocabulary(), settings)

    def run(self, until):
        for stage in STAGES[: STAGES.index(until) + 1]:
            if stage in self.settings:
                getattr(self, stage)()


def main():
    parser = argparse.ArgumentParser(prog="python3 -m train", description=__doc__.splitlines()[0])
    parser.add_argument("--config", default=os.path.join(HERE, "config.toml"), help="default: config.toml, beside this")
    parser.add_argument("--work", default=os.path.join(HERE, "work"), help="where the parent's GGUF and all results are")
    parser.add_argument("--until", choices=STAGES, default=STAGES[-1], help="the last stage to run")
    options = parser.parse_args()
    Recipe(options.config, options.work).run(options.until)


if __name__ == "__main__":
    main()
