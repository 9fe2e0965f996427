# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""A training loop that can be stopped at any time: checkpoint, schedule, progress bar and log."""

import json
import math
import os
import time

import torch
from tqdm import tqdm

SAVE_SECONDS = 300
LOG_STEPS = 10
SMOOTHING = 0.95


def write(path, state):
    """Whole or not at all."""
    torch.save(state, path + ".part")
    os.replace(path + ".part", path)


def rate(peak, step, steps, warm):
    """Linear rise, then half a cosine down to 3 % of the peak."""
    if step < warm:
        return peak * (step + 1) / warm
    return peak * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm))))


def trained(network):
    return {name: value for name, value in network.named_parameters() if value.requires_grad}


class Average:
    """A running mean of the trained weights, which fits new text better than the last step's."""

    def __init__(self, network, decay):
        self.decay = decay
        self.weights = {name: value.detach().clone() for name, value in trained(network).items()}

    @torch.no_grad()
    def add(self, network, step):
        decay = min(self.decay, (step + 1) / (step + 10))
        torch._foreach_lerp_(list(self.weights.values()), list(trained(network).values()), 1 - decay)


class Loop:
    def __init__(self, folder, name, network, settings):
        self.path = os.path.join(folder, name + ".pt")
        self.log = os.path.join(folder, name + ".jsonl")
        self.name, self.network, self.settings = name, network, settings
        parameters = list(trained(network).values())
        self.optimizer = torch.optim.AdamW(
            [{"params": [p for p in parameters if p.dim() > 1], "weight_decay": settings["weight_decay"]},
             {"params": [p for p in parameters if p.dim() == 1], "weight_decay": 0.0}],
            lr=settings["rate"], betas=(0.9, 0.95), fused=True)
        self.average = Average(network, settings["average"])
        self.step, self.seconds, self.tokens, self.means, self.done = 0, 0.0, 0, {}, False
        if os.path.exists(self.path):
            self.restore(torch.load(self.path, weights_only=True))

    def restore(self, state):
        self.network.load_state_dict(state["network"])
        self.average.weights = state["average"]
        self.done = "optimizer" not in state
        if not self.done:
            self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds, self.tokens, self.means = (
            state[key] for key in ("step", "seconds", "tokens", "means"))

    def save(self, done=False):
        state = {"network": self.network.state_dict(), "average": self.average.weights, "step": self.step,
                 "seconds": self.seconds, "tokens": self.tokens, "means": self.means}
        if not done:
            state["optimizer"] = self.optimizer.state_dict()
        write(self.path, state)

    def note(self, **values):
        with open(self.log, "a", encoding="utf-8") as file:
            print(json.dumps({"step": self.step, "seconds": round(self.seconds), "tokens": self.tokens,
                              **{key: round(value, 5) for key, value in values.items()}}), file=file)

    def update(self, loss, values, n_tokens):
        """One optimiser step; returns what the bar shows."""
        speed = rate(self.settings["rate"], self.step, self.settings["steps"], self.settings["warm"])
        for group in self.optimizer.param_groups:
            group["lr"] = speed
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.average.add(self.network, self.step)
        for key, value in values.items():
            old = self.means.get(key, value.item())
            self.means[key] = SMOOTHING * old + (1 - SMOOTHING) * value.item()
        self.step += 1
        self.tokens += n_tokens

    def run(self, batches, losses, watch):
        """`batches(step)` goes on from a step; `losses(batch, progress)` -> (loss, parts, tokens); `watch()` -> figures.

        Ends with the averaged weights in the network, and at once where an earlier run got there."""
        steps, saved = self.settings["steps"], time.monotonic()
        if self.done:
            return
        bar = tqdm(total=steps, initial=self.step, desc=self.name, unit="step", mininterval=5)
        source = batches(self.step)
        while self.step < steps:
            began = time.monotonic()
            self.update(*losses(next(source), self.step / steps))
            self.seconds += time.monotonic() - began
            bar.update()
            bar.set_postfix({key: f"{value:.3f}" for key, value in self.means.items()}, refresh=False)
            if self.step % LOG_STEPS == 0:
                self.note(**self.means)
            if self.step % self.settings["watch"] == 0 and self.step < steps:
                self.note(**watch())
            if time.monotonic() - saved > SAVE_SECONDS:
                self.save()
                saved = time.monotonic()
        bar.close()
        self.network.load_state_dict(self.average.weights, strict=False)
        self.save(done=True)
        self.note(**watch())
