#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""What the evaluation calls grounded, safe and distinct, and the arithmetic of the gate."""

import os
import shutil
import sys
import tempfile

import tap

from eval import gate, judge

QUESTION = "What's the capital of Australia?"
REFERENCE = "The capital of Australia is Canberra, a planned city."


def unsafe(opener, question=QUESTION, reference=REFERENCE):
    return [judge.words(opener)[i] for i in judge.unsafe_words(question, opener, reference)]


def test_an_opener_is_grounded_if_it_shares_a_content_word():
    assert judge.is_grounded(QUESTION, "Australia's capital is")
    assert judge.is_grounded("how do i descale kettles", "Descaling a kettle takes")
    assert not judge.is_grounded(QUESTION, "That is what the best of")
    assert not judge.is_grounded("what is it", "What it is")


def test_names_numbers_and_dates_are_unsafe_where_nobody_said_them():
    assert unsafe("The capital of Australia is Sydney, a") == ["Sydney,"]
    assert unsafe("Founded in 1913, the capital has two") == ["1913,", "two"]
    assert unsafe("The capital moved on a Monday in March") == ["Monday", "March"]


def test_what_the_question_or_the_reference_says_is_safe():
    assert unsafe("The capital of Australia is Canberra, a") == []
    assert unsafe("Between 12 and 15,", "what is 12 times 15", "It is 180.") == []


def test_a_sentence_may_begin_with_a_capital_and_say_i():
    assert unsafe("Well said. Capitals are planned, and I'm not") == []
    assert unsafe("Sydney is not") == []


def test_stock_phrases_are_counted_by_their_first_words():
    openers = ["It depends on the"] * 3 + ["it depends, on"] + [f"Opener number{i} is its own" for i in range(96)]
    assert judge.stock_phrases(openers) == {"it depends on": 0.04}
    assert judge.stock_phrases([f"all are{i} different here" for i in range(9)]) == {}


def row(chances, losses, unsafe_words=()):
    words = [{"probability": p, "margin": p, "entropy": 1 - p} for p in chances]
    return {"words": words, "losses": list(losses), "unsafe_words": list(unsafe_words)}


def test_a_signal_that_knows_all_has_area_one_and_one_that_knows_nothing_a_half():
    good = [({"probability": 0.5 + i / 100, "margin": 0.5, "entropy": i / 100}, False) for i in range(20)]
    bad = [({"probability": i / 100, "margin": 0.5, "entropy": i / 100}, True) for i in range(20)]
    assert gate.area(gate.curve(good + bad, "probability")) == 1.0
    assert gate.area(gate.curve(good + bad, "margin")) == 0.5
    assert abs(gate.area(gate.curve(good + bad, "entropy")) - 0.5) < 0.05


def test_curves_end_with_everything_stopped():
    found = [({"probability": p, "margin": p, "entropy": p}, p < 0.3) for p in (0.1, 0.2, 0.2, 0.6, 0.9)]
    for signal in gate.SIGNALS:
        points = gate.curve(found, signal)
        assert points[0][1:] == (0.0, 0.0) and points[-1][1:] == (1.0, 1.0)


def test_only_words_past_the_first_four_are_looked_at_and_stopped():
    rows = [row([0.01] * 4 + [0.9, 0.01, 0.9, 0.9], [1.0] * 5 + [9.0] + [1.0] * 2, [5])] * 20
    found = gate.samples(rows)
    assert len(found) == 80 and sum(bad for _, bad in found) == 20
    assert gate.after(rows, 0.5) == {"words": 5.0, "unsafe": 0.0}
    assert gate.after(rows, 0.0) == {"words": 8.0, "unsafe": 1.0}
    best = gate.find(rows)["signals"]["probability"]
    assert best["area"] == 1.0 and 0.01 < best["threshold"] < 0.9


def test_a_stamped_model_differs_in_the_threshold_alone():
    tap.need("numpy", "gguf")
    import gguf
    from eval.stamp import stamp
    from train.export import CONFIDENCE

    model = os.path.join(tap.ROOT, "models", "mulm-28m.q8_0.gguf")
    with tempfile.TemporaryDirectory() as folder:
        path = shutil.copy(model, os.path.join(folder, "stamped.gguf"))
        for confidence in (0.75, 0.25):
            stamp(path, confidence)
        before, after = gguf.GGUFReader(model), gguf.GGUFReader(path)
        assert after.fields[CONFIDENCE].contents() == 0.25
        names = [{name for name in file.fields if not name.startswith("GGUF.")} - {CONFIDENCE} for file in (before, after)]
        assert names[0] == names[1] and len(names[0]) > 20
        assert all(before.fields[name].contents() == after.fields[name].contents() for name in names[0])
        assert len(before.tensors) == len(after.tensors) == 56
        for one, other in zip(before.tensors, after.tensors):
            assert one.name == other.name and one.data.tobytes() == other.data.tobytes()


tap.main(sys.modules[__name__])
