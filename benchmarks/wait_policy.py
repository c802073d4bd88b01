"""Seconds of a training step by OpenMP's wait policy, with and without other work on the cores.

Run from the project's root: ``python -m benchmarks.wait_policy --base_model smollm2``, with nothing else running. Each
measurement is a process of its own: LoRA with the recipe's defaults on the pirate set, two steps to warm up, then the
median of ``--steps``. Policies take turns. The other work is ``--busy`` processes that count.
"""

import argparse
import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

from recipes.sft.config import TuneConfig
from recipes.sft.run import prepare
from train.finetune import finetune
from train.loop import NullTracker
from train.resume import StateFolder

POLICIES = {"asleep": {"OMP_WAIT_POLICY": "PASSIVE"}, "OpenMP's own": {}}


def main() -> None:
    """Measure every policy alone and beside other work; print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base_model", default="smollm2")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--busy", type=int, default=os.cpu_count())
    parser.add_argument("--measure", action="store_true", help="one process's part")
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(step_seconds(args.base_model, args.steps)))
        return
    for busy in (0, args.busy):
        others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
        found: dict[str, list[float]] = {name: [] for name in POLICIES}
        try:
            for _ in range(args.rounds):
                for name, policy in POLICIES.items():
                    found[name].append(measured(args.base_model, args.steps, policy))
        finally:
            for each in others:
                each.kill()
                each.wait()
        print(f"{busy} other busy processes: " + ", ".join(f"{name} {min(s):.2f} s" for name, s in found.items()))


def measured(base_model: str, steps: int, policy: dict[str, str]) -> float:
    """Median seconds of a step in a process of its own with the environment of ``policy``."""
    environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"} | policy
    own = ["-m", "benchmarks.wait_policy", "--measure", "--base_model", base_model, "--steps", str(steps)]
    done = subprocess.run([sys.executable, *own], env=environment, capture_output=True, text=True, check=True)
    return median(json.loads(done.stdout.splitlines()[-1]))


class Stopwatch(NullTracker):
    """Notes when each step ends; ends the training after ``steps`` of them."""

    def __init__(self, steps: int) -> None:
        self.steps, self.ends = steps, list[float]()

    def log(self, step: int, metrics: dict[str, float]) -> None:
        if "train/loss" in metrics:
            self.ends.append(perf_counter())
        if len(self.ends) == self.steps:
            raise StopIteration


def step_seconds(base_model: str, steps: int) -> list[float]:
    """Seconds of each of the steps after two that warm up."""
    job = prepare(TuneConfig(base_model=base_model, suites="none"))
    watch = Stopwatch(steps + 2)
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(StopIteration):
        finetune(job.examples, job.checks, job.base, job.config, watch, StateFolder(Path(folder)))
    return [end - start for start, end in itertools.pairwise(watch.ends[1:])]


if __name__ == "__main__":
    main()
