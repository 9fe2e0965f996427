#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""Checkpoints of others become GGUF files that libmulm computes alike: random weights of the exact shape, against a
forward pass in NumPy; and everything that is no Llama of the kind is refused by name."""

import contextlib
import io
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile

import tap

MULM = sys.argv[1]
MODEL = os.path.join(tap.ROOT, "models", "mulm-28m.q8_0.gguf")
PROMPT = "why is the sky blue, and since 1871?"
WORKSHOP = tempfile.TemporaryDirectory()


def place(name):
    return os.path.join(WORKSHOP.name, name)


def convert(*arguments):
    """Runs the command here: (what it exits with, None or a sentence; what it prints)."""
    import convert.__main__ as command

    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        try:
            command.main(arguments)
        except SystemExit as error:
            return error.code, output.getvalue()
    return None, output.getvalue()


def mulm(*arguments):
    result = subprocess.run([MULM, *arguments], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout.split("\n")[:-1]


def tokenizer_folder(name, n=None, digits=True):
    """The default model's vocabulary as Hugging Face has it."""
    import gguf

    fields = gguf.GGUFReader(MODEL).fields
    tokens, merges = (fields[f"tokenizer.ggml.{key}"].contents() for key in ("tokens", "merges"))
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
    rule = {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level]}
    os.makedirs(place(name), exist_ok=True)
    with open(os.path.join(place(name), "tokenizer.json"), "w", encoding="utf-8") as file:
        json.dump({"normalizer": None, "pre_tokenizer": rule if digits else byte_level,
                   "added_tokens": [{"id": i, "content": tokens[i], "special": True} for i in range(3)],
                   "model": {"type": "BPE", "vocab": {token: i for i, token in enumerate(tokens[:n])},
                             "merges": [merge.split(" ") for merge in merges]}}, file)
    return place(name), len(tokens)


def assert_same_logits(model, state, shape):
    import numpy
    import reference

    tokens = [int(token) for token in mulm("tokenize", "-m", model, PROMPT)]
    assert len(tokens) > 8
    wanted = reference.logits(state, tokens, shape)
    found = numpy.array([float(value) for value in mulm("logits", "-m", model, "-p", PROMPT)])
    assert found.shape == wanted.shape and wanted.std() > 0.5
    assert abs(found - wanted).max() < 1e-4, abs(found - wanted).max()


def swen():
    tap.need("numpy", "gguf")
    import reference

    folder, n_tokens = tokenizer_folder("swen-tokenizer")
    return folder, reference.random_state(reference.SWEN, n_tokens, 1), reference.SWEN


def test_swen_gives_the_logits_of_its_forward_pass():
    folder, state, shape = swen()
    import reference

    reference.write_pth(place("swen_28m.pth"), {**state, "lm_head.weight": state["model.embed_tokens.weight"]})
    failure, output = convert(place("swen_28m.pth"), place("swen.gguf"), "--tokenizer", folder, "--type", "f32")
    assert failure is None and "28.8M parameters" in output, failure
    info = dict(line.split(None, 1) for line in mulm("info", place("swen.gguf")) if len(line.split(None, 1)) == 2)
    assert info["pre-tokenizer"] == "smollm" and info["layers"] == "8", info
    assert_same_logits(place("swen.gguf"), state, shape)


def test_swen_saved_by_pytorch_is_read_alike():
    tap.need("torch")
    import torch

    folder, state, shape = swen()
    torch.save({name: torch.from_numpy(array) for name, array in state.items()}, place("torch.pth"))
    failure, _ = convert(place("torch.pth"), place("torch.gguf"), "--tokenizer", folder, "--type", "f32")
    assert failure is None, failure
    assert_same_logits(place("torch.gguf"), state, shape)


def test_special_tokens_are_special_and_plain_text_is_not():
    folder, state, _ = swen()
    lines = mulm("tokenize", "-m", place("swen.gguf"), "<|im_start|>user 42", "--text")
    assert len(lines) > 6 and "<|im_start|>" not in "".join(lines)
    assert [line.split("\t")[1] for line in lines[-2:]] == ["4", "2"]
    opener = subprocess.run([MULM, "generate", "-m", place("swen.gguf"), "--opener", "-p", "hello"], capture_output=True)
    assert opener.returncode == 0, opener.stderr


def hugging_face(name, kind="F32", **changes):
    """A folder of a small Llama: grouped queries, a head of its own, GPT-2's pre-tokenizer, a padded embedding."""
    import reference

    shape = {"width": 64, "layers": 2, "heads": 4, "kv_heads": 2, "feed_forward": 96, "rope_base": 1e4, "epsilon": 1e-5}
    folder, n_tokens = tokenizer_folder(name, digits=False)
    state = reference.random_state(shape, n_tokens + 8, 2)
    state["lm_head.weight"] = state["model.embed_tokens.weight"][::-1].copy()
    if kind == "BF16":
        state = {key: (array.view("<u4") & 0xFFFF0000).view("<f4") for key, array in state.items()}
    reference.write_safetensors(os.path.join(folder, "model.safetensors"), state, kind)
    config = {"model_type": "llama", "hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2,
              "intermediate_size": 96, "rope_theta": 1e4, "rms_norm_eps": 1e-5, "max_position_embeddings": 256} | changes
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file)
    return folder, state, shape


def test_a_hugging_face_folder_gives_the_logits_of_its_forward_pass():
    tap.need("numpy", "gguf")
    for kind in ("F32", "BF16"):
        folder, state, shape = hugging_face("folder-" + kind, kind)
        failure, _ = convert(folder, place("folder.gguf"), "--type", "f32")
        assert failure is None, failure
        assert_same_logits(place("folder.gguf"), state, shape)


def test_a_sharded_folder_is_read_as_one():
    tap.need("numpy", "gguf")
    import reference

    folder, state, shape = hugging_face("sharded")
    os.remove(os.path.join(folder, "model.safetensors"))
    names = sorted(state)
    for part in range(2):
        reference.write_safetensors(os.path.join(folder, f"part-{part}.safetensors"), {n: state[n] for n in names[part::2]})
    with open(os.path.join(folder, "model.safetensors.index.json"), "w", encoding="utf-8") as file:
        json.dump({"weight_map": {name: f"part-{i % 2}.safetensors" for i, name in enumerate(names)}}, file)
    failure, _ = convert(folder, place("sharded.gguf"), "--type", "f32")
    assert failure is None, failure
    assert_same_logits(place("sharded.gguf"), state, shape)


def assert_refused(sentence, *arguments):
    failure, _ = convert(*arguments, place("refused.gguf"))
    assert failure and sentence in failure, (sentence, failure)
    assert "\n" not in failure and not os.path.exists(place("refused.gguf"))


def test_what_libmulm_would_compute_otherwise_is_refused():
    tap.need("numpy", "gguf")
    for changes, sentence in (({"model_type": "qwen3"}, "model_type is qwen3"), ({"hidden_act": "gelu"}, "hidden_act is gelu"),
                              ({"rope_scaling": {"type": "linear"}}, "rope_scaling"), ({"head_dim": 32}, "head_dim 32"),
                              ({"attention_bias": True}, "attention_bias is True"), ({"rms_norm_eps": None}, "rms_norm_eps is missing")):
        assert_refused(sentence, hugging_face("refused", **changes)[0])


def test_a_tokenizer_that_libmulm_does_not_have_is_refused():
    tap.need("numpy", "gguf")
    folder = hugging_face("tokenizer")[0]
    path = os.path.join(folder, "tokenizer.json")
    with open(path, encoding="utf-8") as file:
        good = json.load(file)
    for change, sentence in (({"pre_tokenizer": {"type": "Metaspace"}}, "splits text"),
                             ({"normalizer": {"type": "NFC"}}, "normalises text"), ({"model": {"type": "Unigram"}}, "no byte-level BPE")):
        with open(path, "w", encoding="utf-8") as file:
            json.dump(good | change, file)
        assert_refused(sentence, folder)


def test_malformed_files_are_refused():
    tap.need("numpy", "gguf")
    folder = hugging_face("malformed")[0]
    path = os.path.join(folder, "model.safetensors")
    with open(path, "rb") as file:
        good = file.read()
    n = struct.unpack("<Q", good[:8])[0]
    for data, sentence in ((b"", "does not fit"), (struct.pack("<Q", 2**63) + good[8:], "does not fit"), (good[:-4], "offsets"),
                           (good[:8] + b"[" + good[9:], "no JSON"), (good.replace(b'"F32"', b'"I32"', 1), "type I32"),
                           (good[: 8 + n].replace(b"mlp.up", b"mlp.uq", 1) + good[8 + n :], "has no place in a Llama")):
        with open(path, "wb") as file:
            file.write(data)
        assert_refused(sentence, folder)


def test_a_pickle_that_asks_for_more_than_tensors_is_refused_and_not_run():
    tap.need("numpy", "gguf")
    import pickle
    import zipfile

    class Trap:
        def __reduce__(self):
            return os.mkdir, (place("sprung"),)

    with zipfile.ZipFile(place("trap.pth"), "w") as archive:
        archive.writestr("x/data.pkl", pickle.dumps({"model.norm.weight": Trap()}, 2))
    assert_refused("posix.mkdir", place("trap.pth"), "--tokenizer", WORKSHOP.name)
    assert not os.path.exists(place("sprung"))
    with open(place("text.pth"), "w", encoding="ascii") as file:
        file.write("no archive")
    assert_refused("no file of PyTorch", place("text.pth"), "--tokenizer", WORKSHOP.name)
    assert_refused("needs --tokenizer", place("trap.pth"))


def test_tokens_that_the_embedding_lacks_are_refused():
    tap.need("numpy", "gguf")
    folder, state, _ = hugging_face("short")
    import reference

    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        state[name] = state[name][:100]
    reference.write_safetensors(os.path.join(folder, "model.safetensors"), state)
    assert_refused("100 rows for 12288 tokens", folder)


try:
    tap.main(sys.modules[__name__])
finally:
    shutil.rmtree(WORKSHOP.name, ignore_errors=True)
