#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""bench.py [engine [FILE...]]: what a person waits for, what the machine holds, and how mulmd compares with llama.cpp's
server on the same file and threads; engine: how libmulm compares with llama-bench, on our model or on the files named.
Measurements of both sides alternate within one run; what is compared are medians, as ratios, since this machine's next
hour is not like this one. Prints a table, writes build/bench.json."""

import json
import os
import re
import statistics
import subprocess
import sys

from stage import BUILD, MODEL, ROOT, Failed, Stage, llama_folder, machine, output_of

PROMPT_TOKENS = 16
ROUNDS = 25  # of one question to each side; the first WARM_UP do not count
WARM_UP = 5
STREAM_WORDS = 400  # of a reply that comes word by word: as fast as the server can, and at a cloud's pace
STREAM_PAUSE_MS = 20
STREAM_ROUNDS = 5
ENGINE_ROUNDS = 3
PREFILLS = (16, 64, 256)
THREADS = min(os.cpu_count() or 1, 4)

FIRST_WORD_RATIO_MAX = 0.5
MEMORY_EXTRA_MIB_MAX = 24
RELEASE_MS_MAX = 1
READY_MS_MAX = 50
WORD_CPU_US_MAX = 50
STARTS = 9


def prompts():
    """Real requests of exactly PROMPT_TOKENS tokens, spread over the files."""
    folder = os.path.join(ROOT, "tests", "data", "prompts")
    chosen = []
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".txt"):
            continue
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            lines = [line.strip() for line in file]
        # about as many words as tokens: saves asking for most lines
        likely = [line for line in lines if PROMPT_TOKENS - 3 <= len(line.split()) <= PROMPT_TOKENS]
        for line in likely[:: max(1, len(likely) // 200)]:
            if n_tokens(line) == PROMPT_TOKENS:
                chosen.append(line)
            if len(chosen) == ROUNDS:
                return chosen
    if not chosen:
        raise Failed("no prompts of the wanted length")
    return (chosen * ROUNDS)[:ROUNDS]


def n_tokens(text):
    return len(output_of(f"{BUILD}/libmulm/mulm", "tokenize", "-m", MODEL, text).split())


def ask(clock, question):
    clock.stdin.write(question + "\n")
    line = clock.stdout.readline()
    if not line:
        raise Failed("a client gave up; see its log above")
    return json.loads(line)


def resident_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return int(re.search(r"^VmRSS:\s+(\d+) kB$", file.read(), re.MULTILINE)[1]) * 1024


def bench_daemon(llama):
    with Stage() as stage:
        address = stage.bus()
        certificate, key = stage.certificate()
        url = stage.continuator(certificate, key)
        ready = [stage.ready_ms(address, url, certificate, THREADS) for _ in range(STARTS)]
        mulmd = stage.mulmd(address, url, certificate, THREADS)
        ours = stage.clock("ask-clock", address)
        theirs = None
        if llama:
            server = stage.llama_server(llama, THREADS)
            theirs = stage.clock("stream-clock", server + "/v1/chat/completions", "1")

        asked, streamed = [], []
        for number, question in enumerate(prompts()):
            sides = [(ours, asked)] + ([(theirs, streamed)] if theirs else [])
            for clock, results in sides if number % 2 else reversed(sides):
                results.append(ask(clock, question))
        arrivals = [int(us) for us in re.findall(r"^body .* at (\d+) us$", stage.log("continuator"), re.MULTILINE)]
        table = rows(asked, streamed, arrivals, resident_bytes(mulmd.pid))
        return table + [row("start of mulmd to READY=1", statistics.median(ready), "ms", READY_MS_MAX)]


def loop_cpu_us(pid):
    """CPU time of the thread that has the loop: all of mulmd but the model."""
    with open(f"/proc/{pid}/task/{pid}/schedstat", encoding="utf-8") as file:
        return int(file.read().split()[0]) / 1000


def bench_words(pause_ms):
    """What it takes to show one more word, from the cloud's event to the signal on the bus."""
    words = ["".join(chr(ord("a") + (i >> shift) % 16) for shift in (0, 4, 8)) for i in range(STREAM_WORDS)]
    steps = []
    for word in words:
        event = {"choices": [{"index": 0, "delta": {"content": f" {word}"}, "finish_reason": None}]}
        steps.append(f"data: {json.dumps(event)}\n\n")
        if pause_ms:
            steps.append({"wait": pause_ms})
    steps.append("data: [DONE]\n\n")
    with Stage() as stage:
        address = stage.bus()
        certificate, key = stage.certificate()
        url = stage.scripted_cloud(certificate, key, [{"steps": steps}])
        mulmd = stage.mulmd(address, url, certificate, THREADS)
        used = []
        for _ in range(STREAM_ROUNDS):
            before = loop_cpu_us(mulmd.pid)
            reply = output_of(f"{BUILD}/dbus/mulmctl", "--address", address, "ask", "--json=short", "What is new?")
            used.append((loop_cpu_us(mulmd.pid) - before) / STREAM_WORDS)
            if words[-1] not in json.loads(reply)["text"]:
                raise Failed("the reply is not whole")
    what = f"one every {pause_ms} ms" if pause_ms else "as fast as they come"
    return row(f"CPU time of mulmd's loop per streamed word, {what}", statistics.median(used), "us", WORD_CPU_US_MAX)


def median_us(results):
    return statistics.median(result["first_text_us"] for result in results[WARM_UP:])


def row(what, value, unit, goal=None, note=""):
    """A line of the table and an object of the JSON. `goal` is the most that is wanted."""
    return {
        "what": what,
        "value": round(value, 3),
        "unit": unit,
        "goal": goal,
        "met": None if goal is None else value <= goal,
        "note": note,
    }


def rows(asked, streamed, arrivals, resident):
    first_ms = median_us(asked) / 1000
    if streamed:
        peer_ms = median_us(streamed) / 1000
        what = "Ask to first word, in first tokens of llama.cpp's server"
        note = f"{first_ms:.1f} ms of {peer_ms:.1f} ms"
        table = [row(what, first_ms / peer_ms, "", FIRST_WORD_RATIO_MAX, note)]
    else:
        table = [row("Ask to first word; llama.cpp is not to be had", first_ms, "ms")]

    table.append(
        row(
            f"resident memory after {len(asked)} requests, beyond the model file",
            (resident - os.path.getsize(MODEL)) / 2**20,
            "MiB",
            MEMORY_EXTRA_MIB_MAX,
            f"{resident / 2**20:.1f} MiB in all",
        )
    )

    if len(arrivals) != len(asked):
        raise Failed(f"{len(asked)} questions, but {len(arrivals)} bodies came to the continuator")
    # from before the call was sent: its way over the bus counts too
    release_us = statistics.median(
        arrival - result["asked_us"] - result["timings"]["released_us"]
        for arrival, result in list(zip(arrivals, asked))[WARM_UP:]
    )
    table.append(row("opener end to whole request at the server", release_us / 1000, "ms", RELEASE_MS_MAX))
    return table


def llama_bench(folder, model, n_threads):
    """Tokens a second, by the names that mulm bench has for them."""
    sizes = ",".join(str(n) for n in PREFILLS)
    command = [f"{folder}/llama-bench", "-m", model, "-t", str(n_threads), "-r", "3", "-o", "json"]
    found = {}
    for test in json.loads(output_of(*command, "-p", sizes, "-n", "64")):
        name = f"prefill_{test['n_prompt']}" if test["n_prompt"] else "decode"
        found[f"{name}_tokens_per_second"] = test["avg_ts"]
    return found


def bench_engine(llama, model):
    names = [f"prefill_{n}_tokens_per_second" for n in PREFILLS] + ["decode_tokens_per_second"]
    ours, theirs = {}, {}
    for _ in range(ENGINE_ROUNDS):
        for run in json.loads(output_of(f"{BUILD}/libmulm/mulm", "bench", "-m", model, "--json"))["runs"]:
            n_threads = run["threads"]
            ours.setdefault(n_threads, []).append(run)
            if llama:
                theirs.setdefault(n_threads, []).append(llama_bench(llama, model, n_threads))

    table = []
    for n_threads, runs in ours.items():
        for name in names:
            rate = statistics.median(run[name] for run in runs)
            note = ""
            if llama:
                peer = statistics.median(run[name] for run in theirs[n_threads])
                note = f"{rate / peer:.2f} times llama-bench ({peer:.0f})"
            what = name.removesuffix("_tokens_per_second").replace("_", " of ")
            table.append(row(f"{what}, threads: {n_threads}", rate, "tokens/s", note=note))
        share = statistics.median(run["weights_gb_per_second"] / run["read_gb_per_second"] for run in runs)
        table.append(row(f"weights read by decode, of what reading gives, threads: {n_threads}", share, ""))
        word = statistics.median(run["first_word_ms"] for run in runs)
        table.append(row(f"question to first word, threads: {n_threads}", word, "ms"))
    return table


def print_table(table, about):
    width = max(len(line["what"]) for line in table)
    for line in table:
        value = f"{line['value']:.2f} {line['unit']}".strip()
        goal = "" if line["goal"] is None else f"at most {line['goal']}: {'met' if line['met'] else 'NOT MET'}"
        print(f"{line['what']:{width}}  {value:>15}  {goal:20}  {line['note']}".rstrip())
    print("\n" + ", ".join(f"{key} {value}" for key, value in about.items()))


def bench(arguments, llama):
    if not arguments:
        return bench_daemon(llama) + [bench_words(0), bench_words(STREAM_PAUSE_MS)]
    models = arguments[1:] or [MODEL]
    table = []
    for model in models:
        for line in bench_engine(llama, model):
            if len(models) > 1:
                line["what"] = f"{os.path.basename(model)}: {line['what']}"
            table.append(line)
    return table


def main(arguments):
    if arguments and arguments[0] != "engine":
        print("Usage: ./run bench [engine [FILE...]]", file=sys.stderr)
        return 2
    llama = llama_folder()
    models = ", ".join(os.path.basename(model) for model in arguments[1:] or [MODEL])
    about = {"mulmd": version(), "model": models, "threads": THREADS, "llama.cpp": llama_version(llama)}
    about.update(machine())
    try:
        table = bench(arguments, llama)
    except (Failed, subprocess.CalledProcessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print_table(table, about)
    with open(os.path.join(BUILD, "bench.json"), "w", encoding="utf-8") as file:
        json.dump({"about": about, "results": table}, file, indent=2)
    return 0


def llama_version(folder):
    if not folder:
        return "none"
    done = subprocess.run([f"{folder}/llama-server", "--version"], capture_output=True, text=True, check=False)
    match = re.search(r"version: (.*)", done.stdout + done.stderr)
    return match[1] if match else "unknown"


def version():
    command = ["git", "-C", ROOT, "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


sys.exit(main(sys.argv[1:]))
