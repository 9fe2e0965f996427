#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""Reads scenario files: what clouds say to a question and what is to come of it. tests/data/scenarios/README.md has
the format. As a program, prints the scenarios of its files as JSON, for tests in C."""
import json
import re
import sys

WORD = re.compile(r'"((?:[^"\\]|\\.)*)"(?:\*(\d+))?|(\S+)')
ESCAPES = {"n": b"\n", "r": b"\r", "t": b"\t", "0": b"\0", '"': b'"', "\\": b"\\"}
ESCAPE = re.compile(r"\\(x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|.)")
HEADER = re.compile(r"([a-z][a-z0-9-]*): ?(.*)")

TURN_KEYS = {"text", "outcome", "attempts", "error"}
KEYS = TURN_KEYS | {"dialect", "opener", "local", "set", "endpoint", "on", "splits", "turns", "after-ms", "late-ms", "redraw"}
DEFAULTS = {
    "dialect": "chat",
    "opener": '"The capital of Australia is"',
    "local": '" a city."',
    "outcome": "complete",
    "attempts": "200/complete",
    "error": "",
    "on": "h2 h2c 1.1 memory",
    "splits": "all",
    "turns": "1",
    "after-ms": "0",
    "late-ms": "0",
    "redraw": "no",
}


class Malformed(Exception):
    pass


def escaped(name):
    if name[0] == "x":
        return bytes([int(name[1:], 16)])
    return chr(int(name[1:], 16)).encode() if name[0] == "u" else ESCAPES[name]


def unescape(text):
    """C escapes; what is not escaped is UTF-8."""
    parts, at = [], 0
    for match in ESCAPE.finditer(text):
        parts += [text[at : match.start()].encode(), escaped(match[1])]
        at = match.end()
    return b"".join([*parts, text[at:].encode()])


def words(line):
    """(bytes, is quoted) of each word."""
    return [
        (unescape(quoted) * int(times or 1), True) if match[0][0] == '"' else (plain.encode(), False)
        for match in WORD.finditer(line)
        for quoted, times, plain in [match.groups()]
    ]


# ----------------------------------------------------------------------------------------------------- events


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def data(value):
    return b"data: " + compact(value) + b"\n\n"


def named(value):
    return b"event: " + value["type"].encode() + b"\n" + data(value)


def choice(delta, reason=None):
    return data({"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})


def chat_error(reason):
    return data({"error": {"message": f"The test says {reason}.", "type": reason, "code": reason}})


def message_start():
    message = {"id": "m", "role": "assistant", "content": [], "usage": {"input_tokens": 9, "output_tokens": 1}}
    return named({"type": "message_start", "message": message})


def block_start(index, kind="text"):
    block = {"type": kind, kind: ""}
    return named({"type": "content_block_start", "index": int(index), "content_block": block})


def block_delta(index, text):
    delta = {"type": "text_delta", "text": text}
    return named({"type": "content_block_delta", "index": int(index), "delta": delta})


def message_delta(reason):
    return named({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 5}})


def item_added(index, phase):
    item = {"id": f"i{index}", "type": "message", "role": "assistant", "phase": phase, "content": []}
    return named({"type": "response.output_item.added", "output_index": int(index), "item": item})


def output_delta(index, text):
    place = {"item_id": f"i{index}", "output_index": int(index), "content_index": 0}
    return named({"type": "response.output_text.delta", **place, "delta": text})


def response_end(status):
    return named({"type": f"response.{status}", "response": {"id": "r", "status": status, "output": []}})


# name -> how many words it takes, what it writes
EVENTS = {
    # chat completions
    "C": (1, lambda text: choice({"content": text})),
    "FIN": (0, lambda: choice({}, "stop")),
    "FINISH": (1, lambda reason: choice({}, reason)),
    "DONE": (0, lambda: b"data: [DONE]\n\n"),
    "ERROR": (1, chat_error),
    # Anthropic's messages
    "AH": (0, message_start),
    "AS": (1, block_start),
    "A": (2, block_delta),
    "AX": (1, lambda index: named({"type": "content_block_stop", "index": int(index)})),
    "AD": (1, message_delta),
    "AM": (0, lambda: named({"type": "message_stop"})),
    "PING": (0, lambda: named({"type": "ping"})),
    # responses
    "RI": (2, item_added),
    "R": (2, output_delta),
    "RC": (0, lambda: response_end("completed")),
}

# name -> how many numbers it takes
ACTS = {"wait": 1, "reset": 1, "goaway": 2, "stall": 0, "end": 0, "every": 1}


def write_of(line):
    """One write: quoted bytes and events; or `D {...}` and `E {...}`, whose JSON goes to the end of the line."""
    if line[:2] in ("D ", "E "):
        return (data if line[0] == "D" else named)(json.loads(line[2:]))
    written, rest = b"", words(line)
    while rest:
        word, quoted = rest.pop(0)
        if quoted:
            written += word
            continue
        if word.decode() not in EVENTS:
            raise Malformed(f"no such event: {word.decode()}")
        n, event = EVENTS[word.decode()]
        written += event(*(argument.decode() for argument, _ in rest[:n]))
        del rest[:n]
    return written


def step_of(line):
    name, *rest = line.split()
    if name == "close":
        return {"close": rest[0]}
    if name == "every":
        return {"every": int(rest[0]), "hex": write_of(line.split(maxsplit=2)[2]).hex()}
    if name in ACTS:
        numbers = [int(number, 0) for number in rest]
        if len(numbers) != ACTS[name]:
            raise Malformed(f"{name} takes {ACTS[name]} numbers")
        if name == "goaway":
            return {"last": numbers[0], "goaway": numbers[1]}
        return {name: numbers[0] if numbers else True}
    return {"hex": write_of(line).hex()}


# ------------------------------------------------------------------------------------------------------ files


class Section:
    """The lines of one scenario, or of what all of a file have in common."""

    def __init__(self, title):
        self.title, self.keys, self.asks, self.answers = title, {}, [], {}
        self.answer = None

    def add_answer(self, line):
        endpoint, self.answer = "primary", {"status": 200, "headers": {}, "steps": []}
        for word in line.split()[1:]:
            name, _, value = word.partition("=")
            if name == "status":
                self.answer["status"] = int(value)
            elif name in ("always", "bare"):
                self.answer[name] = True
            elif name == "early":
                self.answer["at"] = "headers"
            else:
                endpoint = word
        self.answers.setdefault(endpoint, []).append(self.answer)

    def add_ask(self, line):
        match = re.fullmatch(r"(ask|head) (\d+) (has|lacks): (.*)", line)
        if not match:
            raise Malformed("expected: ask NUMBER has|lacks: TEXT")
        self.asks.append(
            {"part": match[1], "number": int(match[2]), "has": match[3] == "has", "text": match[4].strip()}
        )

    def add_key(self, line):
        match = re.fullmatch(r"([a-z-]+)( [2-9])?: ?(.*)", line)
        if not match or match[1] not in (TURN_KEYS if match[2] else KEYS):
            raise Malformed("no such key")
        self.keys[match[1] + (match[2] or "")] = match[3].strip()

    def add(self, line):
        if line.split()[0] == "answer":
            self.add_answer(line)
        elif re.match(r"(ask|head) \d", line):
            self.add_ask(line)
        elif not self.answer:
            self.add_key(line)
        elif (match := HEADER.fullmatch(line)) and not self.answer["steps"]:
            self.answer["headers"][match[1]] = match[2]
        elif line.startswith("+ "):
            self.answer["steps"][-1]["hex"] += write_of(line[2:]).hex()
        else:
            self.answer["steps"].append(step_of(line))


def text_of(value):
    return "".join(word.decode() for word, _ in words(value))


def scenario_of(name, common, section):
    keys = {**DEFAULTS, **common.keys, **section.keys}
    turns = []
    for number in range(1, int(keys["turns"]) + 1):
        turn = {key: keys.get(f"{key} {number}", keys.get(key, "")) for key in TURN_KEYS}
        turns.append({**turn, "text": text_of(turn["text"])})
    if not section.answers and not common.answers:
        raise Malformed("no answer")
    return {
        "name": f"{name}: {section.title}" if section.title else name,
        "dialect": keys["dialect"],
        "opener": text_of(keys["opener"]),
        "local": text_of(keys["local"]),
        "on": keys["on"].split(),
        "splits": keys["splits"] == "all",
        "after_ms": int(keys["after-ms"]),
        "late_ms": int(keys["late-ms"]),
        "redraw": keys["redraw"] == "yes",
        "set": [pair.split("=", 1) for key in ("set",) for pair in keys.get(key, "").split()],
        "endpoint": [pair.split("=", 1) for pair in keys.get("endpoint", "").split()],
        "turns": turns,
        "asks": common.asks + section.asks,
        "answers": {**common.answers, **section.answers},
    }


def read(path):
    """All scenarios of a file."""
    name = path.rsplit("/", 1)[-1].removesuffix(".scenario")
    common, sections = Section(""), []
    section = common
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line = line.strip()
            try:
                if not line or line.startswith("#"):
                    continue
                if line.startswith("== "):
                    section = Section(line[3:])
                    sections.append(section)
                else:
                    section.add(line)
            except (Malformed, ValueError, KeyError, IndexError, TypeError) as error:
                sys.exit(f"{path}:{number}: {error}")
    try:
        return [scenario_of(name, common, section) for section in sections or [common]]
    except Malformed as error:
        sys.exit(f"{path}: {error}")


def read_all(paths):
    return [scenario for path in paths for scenario in read(path)]


if __name__ == "__main__":
    json.dump(read_all(sys.argv[1:]), sys.stdout, ensure_ascii=False)
