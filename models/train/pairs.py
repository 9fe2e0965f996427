# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""Question and reply pairs: read, held out, roughened, encoded, batched. All of it follows from seeds."""

import glob
import hashlib
import os
import random
import re
import unicodedata

FILLERS = ["um", "uh", "so", "okay", "hey", "please"]
# What speech recognition makes of these words.
MISHEARD = {"their": "there", "you're": "your", "it's": "its", "to": "too", "for": "four", "two": "to", "hear": "here",
            "weather": "whether", "by": "buy", "then": "than", "know": "no", "right": "write", "what's": "whats"}


def read(path):
    """Conversations of a file, each a list of user and assistant columns in turn."""
    with open(path, encoding="utf-8") as file:
        items = [line.rstrip("\n").split("\t") for line in file]
    for number, columns in enumerate(items, 1):
        if len(columns) % 2:
            raise ValueError(f"{path}:{number}: {len(columns)} columns, no even number")
    return items


def plain(question):
    """A question as it is compared: no case, accents, punctuation or repeated blanks."""
    text = unicodedata.normalize("NFKD", question.lower())
    return " ".join(re.findall(r"[a-z0-9]+", text))


def held_out_questions(folder):
    """Every question of the held-out files, as compared."""
    files = sorted(glob.glob(os.path.join(folder, "held-out-*.tsv")))
    return {plain(question) for file in files for item in read(file) for question in item[0::2]}


def training(folder):
    """(all conversations that may be trained on, number dropped): none whose first question is held out."""
    banned = held_out_questions(folder)
    files = sorted(set(glob.glob(os.path.join(folder, "*.tsv"))) - set(glob.glob(os.path.join(folder, "held-out-*"))))
    items = [item for file in files for item in read(file)]
    kept = [item for item in items if plain(item[0]) not in banned]
    return kept, len(items) - len(kept)


def digest(item):
    """By which a list names a conversation: the first 8 hexadecimal digits of its line's SHA-256."""
    return hashlib.sha256("\t".join(item).encode()).hexdigest()[:8]


def split(items, n_watched, seed):
    """(to train on, to watch the training by): the second are not trained on and no figure is quoted from them."""
    order = random.Random(f"{seed}/split").sample(range(len(items)), len(items))
    return [items[i] for i in order[n_watched:]], [items[i] for i in order[:n_watched]]


def roughen(question, chance):
    """The question as people type or say it, about half of the time."""
    draw = chance.random()
    if draw < 0.35:
        question = question.lower()
        if chance.random() < 0.7:
            question = re.sub(r"[?.!,;]+$", "", question)
        if chance.random() < 0.3:
            question = re.sub(r"[?.!,;]", "", question)
    elif draw < 0.45:
        question = question[:1].upper() + question[1:]
    if chance.random() < 0.08:
        question = slip(question, chance)
    return question


def slip(question, chance):
    """One fault of speech recognition: a word misheard, doubled, lost or put before the first."""
    words = question.split()
    known = [i for i, word in enumerate(words) if word in MISHEARD]
    if known:
        i = chance.choice(known)
        words[i] = MISHEARD[words[i]]
        return " ".join(words)
    i = chance.randrange(len(words)) if words else 0
    fault = chance.randrange(3)
    if fault == 0:
        words.insert(0, chance.choice(FILLERS))
    elif fault == 1 and words:
        words.insert(i, words[i])
    elif len(words) > 5:
        del words[i]
    return " ".join(words)


def encode(vocabulary, item, chance=None, cut=None):
    """(tokens, which of them are replies); the last reply without what follows its first `cut` tokens."""
    newline, user, assistant = (vocabulary.encode(text) for text in ("\n", "user\n", "assistant\n"))
    tokens, replies = [], []
    for i in range(0, len(item), 2):
        question = roughen(item[i], chance) if chance else item[i]
        head = newline if i else []
        head = head + [vocabulary.start, *user, *vocabulary.encode(question), vocabulary.end, *newline]
        head = head + [vocabulary.start, *assistant]
        reply = vocabulary.encode(item[i + 1]) + [vocabulary.end]
        tokens += head + reply
        replies += [False] * len(head) + [True] * len(reply)
    surplus = len(reply) - cut if cut else 0
    return (tokens[:-surplus], replies[:-surplus]) if surplus > 0 else (tokens, replies)


def head(vocabulary, columns):
    """Tokens of a conversation whose last column is a question, up to where its reply begins."""
    return encode(vocabulary, [*columns, ""])[0][:-1]


def encode_all(vocabulary, items, seed, cut, share_whole, longest):
    """Encoded conversations in a random order, each roughened anew; all but a share are cut short, as openers are."""
    chance = random.Random(seed)
    encoded = []
    for item in chance.sample(items, len(items)):
        whole = chance.random() < share_whole
        tokens, replies = encode(vocabulary, item, chance, None if whole else cut)
        if len(tokens) <= longest:
            encoded.append((tokens, replies))
    return encoded


def batch(encoded, n_tokens, seed, window=1024):
    """Batches of like length, at most n_tokens with their padding each, in a random order."""
    chance = random.Random(seed)
    batches = []
    for start in range(0, len(encoded), window):
        group = []
        for entry in sorted(encoded[start : start + window], key=lambda entry: len(entry[0])):
            if group and (len(group) + 1) * len(entry[0]) > n_tokens:
                batches.append(group)
                group = []
            group.append(entry)
        batches.append(group)
    return chance.sample(batches, len(batches))


def shuffled(entries, seed):
    return random.Random(seed).sample(entries, len(entries))
