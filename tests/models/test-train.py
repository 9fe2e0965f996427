#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""The recipe: what is held out stays out, seeds decide everything, and an interrupted stage goes on where it was. The
parts that train need PyTorch and are skipped without it."""

import os
import random
import sys
import tempfile

import tap

from train import pairs

MODEL = os.path.join(tap.ROOT, "models", "mulm-28m.q8_0.gguf")
TRAINING = ["torch", "gguf", "tokenizers", "tqdm", "numpy"]
STAGE = {"freeze_layers": 0, "freeze_embedding": False, "steps": 4, "batch_tokens": 256, "rate": 1e-3, "warm": 1,
         "weight_decay": 0.01, "average": 0.5, "head_weight": 1.5, "cut": 8, "share_whole": 0.5, "longest": 96, "watch": 2}
RECIPE = {
    "seed": 1, "device": "cpu", "threads": 1, "watched": 4,
    "parent": {"file": "parent.gguf"},
    "vocabulary": {"size": 700},
    "teacher": {**STAGE, "layers": [0, 2], "freeze_embedding": True},
    "replies": {"requests": 6, "temperature": 1.0, "longest_reply": 4, "batch": 2},
    "cache": {"conversations": 24, "hidden": [0], "cut": 8, "share_whole": 0.5, "longest": 96},
    "student": {"layers": [1]},
    "distil": {**STAGE, "divergence": 0.7, "hidden_weight": 1.0},
    "tune": {**STAGE, "freeze_layers": 1},
    "export": {"file": "small", "name": "small", "description": "for a test", "context": 512, "confidence": 0.25},
}


def data_folder():
    return os.path.join(tap.ROOT, "models", "data")


def test_no_question_of_the_held_out_sets_is_trained_on():
    kept, n_dropped = pairs.training(data_folder())
    banned = pairs.held_out_questions(data_folder())
    held_out = {tuple(item) for name in ("written", "real")
                for item in pairs.read(os.path.join(data_folder(), f"held-out-{name}.tsv"))}
    assert len(held_out) == 612 and n_dropped >= 612
    assert not [item for item in kept if pairs.plain(item[0]) in banned or tuple(item) in held_out]


def test_questions_are_compared_without_case_accents_and_punctuation():
    assert pairs.plain("  What's a Café, then?") == pairs.plain("whats a cafe then".replace("whats", "what s"))
    assert pairs.plain("twelve") != pairs.plain("twelves")


def test_watched_conversations_are_not_trained_on_and_follow_from_the_seed():
    items = [[str(i), "reply"] for i in range(50)]
    trained, watched = pairs.split(items, 7, 3)
    assert len(watched) == 7 and sorted(trained + watched) == sorted(items)
    assert (trained, watched) == pairs.split(items, 7, 3) != pairs.split(items, 7, 4)


def test_roughening_follows_from_the_seed_and_differs_between_passes():
    question = "Is it right to hear their weather report, by then?"
    passes = [[pairs.roughen(question, random.Random(f"{seed}/{i}")) for i in range(200)] for seed in (1, 1, 2)]
    assert passes[0] == passes[1] != passes[2]
    assert question in passes[0] and question.lower() in passes[0] and len(set(passes[0])) > 5


def test_a_file_with_an_odd_number_of_columns_is_refused_by_line():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "odd.tsv")
        with open(path, "w", encoding="utf-8") as file:
            file.write("a\tb\na\tb\tc\n")
        try:
            pairs.read(path)
        except ValueError as error:
            assert f"{path}:2: 3 columns" in str(error)
        else:
            raise AssertionError("not refused")


def test_batches_hold_every_conversation_once_and_no_more_than_asked_for():
    encoded = [([1] * n, [True] * n) for n in random.Random(0).choices(range(1, 60), k=300)]
    batches = pairs.batch(encoded, 256, "seed")
    assert sorted(len(tokens) for batch in batches for tokens, _ in batch) == sorted(len(tokens) for tokens, _ in encoded)
    assert all(len(batch) * max(len(tokens) for tokens, _ in batch) <= 256 for batch in batches)


def vocabulary():
    from train import weights

    return weights.File(MODEL).vocabulary()


def small_network(words, layers=3):
    import torch
    from train.network import Network
    from train.shape import Shape

    torch.manual_seed(5)
    network = Network(Shape(len(words.tokens), layers, width=64, heads=4, kv_heads=2, feed_forward=96))
    for parameter in network.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.1)
    return network


def test_a_chosen_vocabulary_can_make_each_of_its_tokens():
    tap.need("tokenizers", "gguf", "torch")
    from train.vocabulary import choose

    parent = vocabulary()
    smaller = choose(parent, ["The quick brown fox jumps over 13 lazy dogs"] * 9, 900)
    assert len(smaller.tokens) == 900
    made = {merge.replace(" ", "") for merge in smaller.merges}
    assert all(len(token) == 1 or token.startswith("<|") or token in made for token in smaller.tokens)
    assert all(part in smaller.number for merge in smaller.merges for part in merge.split(" "))
    text = "Ünïcode, tabs\tand 12 emoji 🎉 survive"
    assert smaller.decode(smaller.encode(text)) == text


def test_an_exported_network_is_read_back_as_it_was():
    tap.need(*TRAINING)
    import torch
    from train import export, weights

    words = vocabulary()
    network = small_network(words)
    with tempfile.TemporaryDirectory() as folder:
        export.write_all(folder, network, words, RECIPE["export"])
        f16, q8 = (weights.read(os.path.join(folder, f"small.{kind}.gguf")) for kind in ("f16", "q8_0"))
        file = weights.File(os.path.join(folder, "small.q4_0.gguf"))
    assert f16.shape[:6] == network.shape[:6] and file.vocabulary().tokens == words.tokens
    assert abs(file.value(export.CONFIDENCE) - 0.25) < 1e-6 and "im_start" in file.value("tokenizer.chat_template")
    tokens = torch.tensor([words.encode("three short words")])
    wanted, error16, error8 = (
        network.states(tokens)[0].detach(), *(other.states(tokens)[0].detach() for other in (f16, q8)))
    assert (wanted - error16).abs().max() < 0.02 and 0 < (wanted - error8).abs().max() < 0.2


def test_a_narrower_network_is_the_same_where_the_rest_says_nothing():
    tap.need(*TRAINING)
    import torch
    from train import narrow
    from train.network import Network
    from train.shape import Shape

    torch.manual_seed(3)
    network = Network(Shape(200, 2, width=64, heads=4, kv_heads=2, feed_forward=48))
    kept, neurons, heads = torch.randperm(64)[:32], torch.randperm(48)[:24], torch.arange(32, 64)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            torch.nn.init.normal_(parameter, mean=float(parameter.dim() == 1), std=0.2)
            if "attn_output" in name or "ffn_down" in name:
                parameter[[i for i in range(64) if i not in kept]] = 0.0
                parameter[:, [i for i in range(parameter.shape[1]) if i not in (heads if "attn" in name else neurons)]] = 0.0
            elif "token_embd" in name:
                parameter[:, [i for i in range(64) if i not in kept]] = 0.0
        encoded = [([i + 1, 2 * i + 3, 7, i], [True] * 4) for i in range(40)]
        smaller = narrow.narrowed(network, encoded, 32, 24)
        assert smaller.shape == Shape(200, 2, width=32, heads=2, kv_heads=1, feed_forward=24)
        tokens = torch.randint(0, 200, (3, 9))
        wanted, found = (each.head(each.states(tokens)[0]) for each in (network, smaller))
        assert torch.allclose(wanted, found, rtol=1e-2, atol=1e-2), (wanted - found).abs().max()


def test_tokens_one_at_a_time_give_the_states_of_all_at_once():
    tap.need(*TRAINING)
    import torch
    from train.network import Memory

    words = vocabulary()
    network = small_network(words)
    line = words.encode("the same words at once and one by one")
    tokens = torch.tensor([line, line[::-1]])
    memories = [Memory() for _ in network.blk]
    network.next_states(tokens[:, :3], memories)
    for i in range(3, tokens.shape[1]):
        state = network.next_states(tokens[:, i : i + 1], memories)
        assert (state - network.states(tokens)[0][:, i]).abs().max() < 1e-4


def prepared(folder):
    """A work folder with a small random parent, and a Recipe over a few of the pairs."""
    import hashlib

    import train.__main__ as command
    from train import export

    words = vocabulary()
    export.write(os.path.join(folder, "parent.gguf"), small_network(words), words, RECIPE["export"], "f16")
    with open(os.path.join(folder, "parent.gguf"), "rb") as file:
        RECIPE["parent"]["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
    recipe = command.Recipe.__new__(command.Recipe)
    recipe.settings, recipe.work, recipe.seed = RECIPE, folder, RECIPE["seed"]
    recipe.items, recipe.watched = pairs.split(pairs.training(data_folder())[0][:60], 4, 1)
    return recipe


def test_the_teacher_is_not_asked_what_is_held_out_or_answered():
    tap.need(*TRAINING)
    from train import replies

    folder = os.path.join(tap.ROOT, "tests", "data", "prompts")
    banned = pairs.held_out_questions(data_folder())
    every = replies.requests(folder, set(), 10**6, 1)
    free = replies.requests(folder, banned, 10**6, 1)
    assert len(every) > len(free) > 30000
    assert not {pairs.plain(request) for request in free} & banned


def test_replies_end_where_the_teacher_ends_them():
    tap.need(*TRAINING)
    import torch
    from train import replies

    words = vocabulary()
    network = small_network(words)
    settings = {"longest_reply": 6, "temperature": 1e-6}
    heads = [pairs.head(words, [question]) for question in ("why so", "how so")]
    unended = replies.answer(network, heads, -1, settings, torch.Generator().manual_seed(1))
    assert unended == [None, None]
    first = int(network.head(network.states(torch.tensor(heads))[0][0, -1]).argmax())
    assert replies.answer(network, heads, first, settings, torch.Generator().manual_seed(1))[0] == []


def test_the_recipe_runs_from_the_parent_to_a_model():
    tap.need(*TRAINING)
    from train import weights

    with tempfile.TemporaryDirectory() as folder:
        recipe = prepared(folder)
        recipe.run("export")
        model = weights.read(os.path.join(folder, "small.q8_0.gguf"))
        assert model.shape.layers == 1 and model.shape.vocabulary == 700
        assert len([name for name in os.listdir(folder) if name.startswith("cache-") and name.endswith(".npy")]) == 1


def test_a_named_recipe_distils_a_narrower_student_from_all_caches_of_the_folder():
    tap.need(*TRAINING)
    from train import cache, weights

    with tempfile.TemporaryDirectory() as folder:
        recipe = prepared(folder)
        recipe.run("export")
        n_cached = len(cache.load(folder))
        recipe.settings = RECIPE | {
            "name": "second",
            "cache": {**RECIPE["cache"], "hidden": []},
            "student": {"start": "small.f16.gguf", "conversations": 20, "width": 32, "feed_forward": 64},
            "distil": {**RECIPE["distil"], "hidden_weight": 0.0},
            "export": {**RECIPE["export"], "file": "smaller"},
        }
        recipe.run("export")
        assert len(cache.load(folder)) == 2 * n_cached
        model = weights.read(os.path.join(folder, "smaller.q8_0.gguf"))
        assert (model.shape.width, model.shape.heads, model.shape.feed_forward) == (32, 2, 64)
        assert {"distil.pt", "distil-second.pt", "tune-second.pt"} <= set(os.listdir(folder))


def test_a_network_is_mixed_with_another_training_of_it():
    tap.need(*TRAINING)
    import torch
    from train import weights

    words = vocabulary()
    network, other, before = small_network(words), small_network(words), small_network(words)
    with torch.no_grad():
        other.token_embd.weight.add_(1.0)
        other.output_norm.weight.mul_(3.0)
    weights.mix(network, other, 0.25)
    assert torch.allclose(network.token_embd.weight, before.token_embd.weight + 0.25)
    assert torch.allclose(network.output_norm.weight, before.output_norm.weight * 1.5)
    assert torch.equal(network.blk[0].attn_q.weight, before.blk[0].attn_q.weight)


def test_a_recipe_that_comes_after_another_has_its_teacher():
    tap.need(*TRAINING)
    from train.__main__ import HERE, Recipe

    with tempfile.TemporaryDirectory() as folder:
        first, more, small = (
            Recipe(os.path.join(HERE, f"two-cores{name}.toml"), folder).settings for name in ("", "-more", "-small"))
    assert first["teacher"] == more["teacher"] == small["teacher"] and first["seed"] == more["seed"] == small["seed"]
    assert more["distil"] != first["distil"] and "cache" not in small and small["threads"] == 1


def test_a_stage_can_take_the_conversations_of_a_list_or_the_others():
    tap.need(*TRAINING)

    with tempfile.TemporaryDirectory() as folder:
        recipe = prepared(folder)
        path = os.path.join(folder, "list.pairs")
        with open(path, "w", encoding="ascii") as file:
            print(*[pairs.digest(item) for item in recipe.items[:50]], sep="\n", file=file)
        only, without = recipe.some({"only": path}), recipe.some({"without": path})
        assert only == recipe.items[:50] and without == recipe.items[50:]


def test_an_interrupted_stage_ends_with_the_weights_of_an_unbroken_one():
    tap.need(*TRAINING)
    import torch
    from train import loop, tune

    class Stop(Exception):
        pass

    def run(folder, stop_at):
        words = vocabulary()
        network, items = small_network(words), pairs.training(data_folder())[0][:60]
        update = loop.Loop.update

        def interrupted(self, *arguments):
            if self.step == stop_at:
                raise Stop
            update(self, *arguments)

        loop.Loop.update = interrupted
        try:
            tune.run(folder, "tune", network, words, items, items[:4], STAGE, 1)
        except Stop:
            loop.Loop.update = update
            network = small_network(words)
            tune.run(folder, "tune", network, words, items, items[:4], STAGE, 1)
        finally:
            loop.Loop.update = update
        return network

    kept, loop.SAVE_SECONDS = loop.SAVE_SECONDS, -1
    try:
        with tempfile.TemporaryDirectory() as a, tempfile.TemporaryDirectory() as b:
            unbroken, broken = run(a, 99), run(b, 2)
    finally:
        loop.SAVE_SECONDS = kept
    for one, other in zip(unbroken.parameters(), broken.parameters()):
        assert torch.equal(one, other)


tap.main(sys.modules[__name__])
