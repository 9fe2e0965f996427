# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""The figures of a measurement as pictures."""

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot  # noqa: E402


def measures(figures, path):
    panels = {"head": "loss of the first 12 tokens, nats a token", "words8": "loss of the first 8 words, nats a word",
              "seam": "parent's loss after the opener, nats a word"}
    figure, axes = pyplot.subplots(1, len(panels), figsize=(4.2 * len(panels), 3.4))
    for axis, (key, title) in zip(axes, panels.items()):
        for shift, (name, by_model) in enumerate(figures.items()):
            known = [(model, found[key]) for model, found in by_model.items() if key in found]
            places = [i + 0.4 * shift for i in range(len(known))]
            axis.bar(places, [value for _, value in known], 0.38, label=name)
            axis.set_xticks([i + 0.2 for i in range(len(known))], [model.removesuffix(".gguf") for model, _ in known],
                            rotation=20, ha="right", fontsize=7)
        axis.set_title(title, fontsize=9)
    axes[0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def gate(gates, path):
    figure, axis = pyplot.subplots(figsize=(4.4, 4.2))
    for signal, found in gates["signals"].items():
        _, bad, good = zip(*found["curve"])
        axis.plot(good, bad, label=f"{signal} ({found['area']:.2f})")
    best = gates["signals"]["probability"]
    axis.plot(best["good_stopped"], best["bad_stopped"], "o", color="black", label=f"stop below {best['threshold']:.2f}")
    axis.plot((0, 1), (0, 1), ":", color="grey")
    axis.set_xlabel("share of the good words stopped")
    axis.set_ylabel("share of the bad words stopped")
    axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
