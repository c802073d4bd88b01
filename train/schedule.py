"""Schedules by optimizer step: learning rate, evaluations, seed of dropout."""

import math

import numpy as np

from train import distributed


def dropout_seed(seed: int, step: int) -> int:
    """The seed of one step's dropout: a function of the run's seed, the step and this process, so resuming is exact."""
    return int(np.random.SeedSequence([seed, step, distributed.rank()]).generate_state(1, np.uint64)[0])


def lr_factor(step: int, total: int, warmup: float, schedule: str) -> float:
    """Share of the peak learning rate at ``step`` (0-based): a linear rise over ``warmup``, then the schedule."""
    warmup_steps = math.ceil(total * warmup)
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    if schedule == "constant":
        return 1.0
    done = (step - warmup_steps) / max(1, total - warmup_steps)
    return 1 - done if schedule == "linear" else (1 + math.cos(math.pi * done)) / 2


def eval_schedule(steps_per_epoch: int, epochs: int, evals_per_epoch: int) -> set[int]:
    """Steps after which the model is evaluated: evenly within each epoch, its end always among them."""
    within = {math.ceil(steps_per_epoch * (k + 1) / evals_per_epoch) for k in range(evals_per_epoch)}
    return {epoch * steps_per_epoch + step for epoch in range(epochs) for step in within}
