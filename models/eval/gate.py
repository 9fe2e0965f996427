# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""Does what the model knows of a word, before it is said, tell a bad one? ROC curves, and the threshold to stop at.

Looked at are the words that the gate decides on: those after the first 4, which are always said. A word is bad if it
commits to a number, name or date that neither question nor reference has, or if the parent, given the question and all
before it, finds it less likely than all but the last 5 % of the words of fluent text that it judged.
"""

MIN_WORDS = 4
BREAK_SHARE = 0.05
# What is known of a word -> whether more of it speaks for the word.
SIGNALS = {"probability": True, "margin": True, "entropy": False}


def samples(rows):
    """(signals, whether bad) of each word that the gate decides on, and whether its opener's earlier words were good."""
    every = sorted(loss for row in rows for loss in row["losses"])
    limit = every[int((1 - BREAK_SHARE) * len(every))] if every else 0.0
    found = []
    for row in rows:
        for i, (word, loss) in enumerate(zip(row["words"], row["losses"])):
            if i >= MIN_WORDS:
                found.append(({signal: word[signal] for signal in SIGNALS}, i in row["unsafe_words"] or loss > limit))
    return found


def curve(found, signal):
    """(threshold, share of bad words stopped, share of good words stopped) from the mildest threshold on."""
    sign = 1 if SIGNALS[signal] else -1
    order = sorted((sign * signals[signal], bad) for signals, bad in found)
    n_bad = sum(bad for _, bad in order)
    points, stopped_bad, stopped_good = [(order[0][0] * sign, 0.0, 0.0)], 0, 0
    for i, (value, bad) in enumerate(order):
        stopped_bad += bad
        stopped_good += not bad
        if i + 1 == len(order) or order[i + 1][0] != value:
            limit = value if i + 1 == len(order) else (value + order[i + 1][0]) / 2
            points.append((limit * sign, stopped_bad / max(1, n_bad), stopped_good / max(1, len(order) - n_bad)))
    return points


def area(points):
    return sum((b[2] - a[2]) * (a[1] + b[1]) / 2 for a, b in zip(points, points[1:]))


def after(rows, threshold):
    """What the openers become when they stop in front of a word less probable than the threshold."""
    n_words = n_bad = 0
    for row in rows:
        n = next((i for i, word in enumerate(row["words"]) if i >= MIN_WORDS and word["probability"] < threshold),
                 len(row["words"]))
        n_words += n
        n_bad += any(i < n for i in row["unsafe_words"])
    return {"words": n_words / len(rows), "unsafe": n_bad / len(rows)}


def find(rows):
    """For each signal its curve, area and best threshold (most bad words stopped less good ones, in shares)."""
    found = samples(rows)
    gates = {"n_words": len(found), "n_bad": sum(bad for _, bad in found), "signals": {}}
    for signal in SIGNALS:
        points = curve(found, signal)
        threshold, bad, good = max(points, key=lambda point: point[1] - point[2])
        gates["signals"][signal] = {"area": area(points), "threshold": threshold, "bad_stopped": bad,
                                    "good_stopped": good, "curve": points}
    chosen = gates["signals"]["probability"]["threshold"]
    gates["openers"] = {f"{limit:.2f}": after(rows, limit) for limit in sorted({0.0, 0.1, 0.2, 0.3, 0.4, round(chosen, 2)})}
    return gates


def table(model, gates):
    lines = [f"gate of {model}: {gates['n_bad']} of {gates['n_words']} words past the first {MIN_WORDS} are bad"]
    for signal, found in gates["signals"].items():
        lines.append(f"  {signal:12} area {found['area']:.3f}; at {found['threshold']:.3f} it stops "
                     f"{found['bad_stopped']:.0%} of the bad and {found['good_stopped']:.0%} of the good")
    for limit, found in gates["openers"].items():
        lines.append(f"  stopping below {limit}: {found['words']:.1f} words said, "
                     f"{found['unsafe']:.0%} of the openers unsafe")
    return "\n".join(lines)
