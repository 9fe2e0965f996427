# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""A Hugging Face tokenizer folder as GGUF has it: tokens, kinds, merges, pre-tokenizer, special tokens, chat template.

Only byte-level BPE, and only the two ways of splitting text that libmulm knows: GPT-2's, and SmolLM's, which takes digits one
by one.
"""

import json
import os

from train.export import TEMPLATE

from .errors import Refused

NORMAL, CONTROL, UNUSED = 1, 3, 5  # gguf.TokenType


def load(folder, name, needed=True):
    path = os.path.join(folder, name)
    if not needed and not os.path.exists(path):
        return {}
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except ValueError as error:
        raise Refused(f"{path}: no JSON ({error})") from error
    if not isinstance(found, dict):
        raise Refused(f"{path}: holds no object")
    return found


def is_gpt2(step):
    return step["type"] == "ByteLevel" and not step.get("add_prefix_space") and step.get("use_regex", True)


def pre_tokenizer(path, rule):
    steps = rule.get("pretokenizers", [rule]) if rule else []
    if len(steps) == 1 and is_gpt2(steps[0]):
        return "gpt-2"
    if len(steps) == 2 and steps[0]["type"] == "Digits" and steps[0].get("individual_digits") and is_gpt2(steps[1]):
        return "smollm"
    raise Refused(f"{path}: splits text in a way that libmulm does not know: {json.dumps(rule)}")


def text_of(token):
    """Tokens are named by their text or by an object that has it."""
    return token["content"] if isinstance(token, dict) else token


class TokenizerFolder:
    def __init__(self, folder):
        path = os.path.join(folder, "tokenizer.json")
        file, self.settings = load(folder, "tokenizer.json"), load(folder, "tokenizer_config.json", needed=False)
        model = file["model"]
        if model.get("type", "BPE") != "BPE" or model.get("byte_fallback"):
            raise Refused(f"{path}: no byte-level BPE")
        if file.get("normalizer"):
            raise Refused(f"{path}: normalises text, which libmulm does not: {json.dumps(file['normalizer'])}")
        self.pre = pre_tokenizer(path, file.get("pre_tokenizer"))
        added = {token["content"]: token for token in file.get("added_tokens", [])}
        number = dict(model["vocab"]) | {text: token["id"] for text, token in added.items()}
        self.tokens = [None] * (1 + max(number.values()))
        for text, i in number.items():
            self.tokens[i] = text
        special = {text for text, token in added.items() if token.get("special")}
        self.kinds = [UNUSED if text is None else CONTROL if text in special else NORMAL for text in self.tokens]
        self.tokens = [f"<|unused_{i}|>" if text is None else text for i, text in enumerate(self.tokens)]
        self.merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
        self.template = self.find_template(folder)
        self.number = number

    def find_template(self, folder):
        """The folder's own; ChatML where it has none, as the paper's checkpoint was trained with it."""
        path = os.path.join(folder, "chat_template.jinja")
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                return file.read()
        return self.settings.get("chat_template") or TEMPLATE

    def special(self, key, otherwise):
        """The number of a special token that the settings name, or of the one it usually is."""
        token = text_of(self.settings.get(key) or otherwise)
        if token not in self.number:
            raise Refused(f"the tokenizer has no {key} {token}")
        return self.number[token]

    def pad(self, n):
        """Adds unused tokens up to the rows that the embedding has."""
        if n < len(self.tokens):
            raise Refused(f"the embedding has {n} rows for {len(self.tokens)} tokens")
        for i in range(len(self.tokens), n):
            self.tokens.append(f"<|unused_{i}|>")
            self.kinds.append(UNUSED)
