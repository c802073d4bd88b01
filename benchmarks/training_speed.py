"""How fast Parley trains next to others: trained tokens a second, loss curves, time to a loss, memory, tracking.

Run from the project's root (needs ``requirements-dev.txt``)::

    python -m benchmarks.training_speed --pairs pairs.json --tokenizer FOLDER_WITH_VOCAB_AND_MERGES

``pairs`` is a JSON array of ``{"prompt", "response"}``. Two models are trained, in full and with LoRA: one of
distilgpt2's shape with random weights, and the bundled base. Contenders take turns: a round is a few steps of each, so
a busy moment of the machine hits all of them; rates are medians over rounds, ratios medians of each round's ratio. The
first round warms up and counts for losses and times to a loss only. "Trained tokens" are answers with their end
token; prompts and padding don't count. Who competes, and how their arithmetic is made equal: ``contenders``.
"""

import argparse
import itertools
import json
import multiprocessing
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import fmean, median
from typing import Any

from benchmarks.contenders import CONTENDERS, compete, track
from benchmarks.race import Round, Task
from inference.precision import product_rates


@dataclass(frozen=True)
class Result:
    """A contender's race: its rounds (the first one warms up), eval loss before them, and peak memory in MB."""

    rounds: list[Round]
    first_eval_loss: float
    peak_mb: float

    @property
    def rates(self) -> list[float]:
        """Trained tokens a second of every round but the first."""
        return [r.tokens / r.seconds for r in self.rounds[1:]]

    def seconds_to(self, loss: float) -> float:
        """Seconds of training until the eval loss is at most ``loss``, linear between rounds; inf if never."""
        before, spent = self.first_eval_loss, 0.0
        for r in self.rounds:
            if r.eval_loss <= loss:
                share = (before - loss) / (before - r.eval_loss) if before > r.eval_loss else 1.0
                return spent + share * r.seconds
            before, spent = r.eval_loss, spent + r.seconds
        return float("inf")


def main() -> None:
    """Race, then measure memory and tracking; print tables."""
    args = _arguments()
    results: dict[str, Any] = {}
    for name, model, steps in (("distilgpt2", "distilgpt2", args.steps), ("bundled", args.bundled, args.bundled_steps)):
        for method in args.methods.split(","):
            task = Task(
                contender="parley",
                model=model,
                tokenizer=args.tokenizer,
                pairs=args.pairs,
                method=method,
                lr=args.lr_lora if method == "lora" else args.lr_full,
                steps=args.rounds * steps,
                threads=args.threads,
                seed=args.seed,
                scratch="",
            )
            if name not in args.models.split(","):
                continue
            raced = race(task, args.contenders.split(","), args.rounds, steps)
            tracked = tracking(task)
            print_race(f"{name}, {method}", raced)
            print_tracked(tracked, raced)
            results[f"{name}/{method}"] = {k: asdict(r) for k, r in raced.items()} | {"tracked": tracked}
    if args.json:
        Path(args.json).write_text(json.dumps(results, indent=1))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", required=True, help="JSON array of prompt/response pairs")
    parser.add_argument("--tokenizer", required=True, help="folder with GPT-2's vocab.json and merges.txt")
    parser.add_argument("--bundled", default="bundled", help="bundled, or another model's folder")
    parser.add_argument("--models", default="distilgpt2,bundled")
    parser.add_argument("--methods", default="full,lora")
    parser.add_argument("--contenders", default=",".join(CONTENDERS))
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=3, help="steps of 8 rows a round, distilgpt2's shape")
    parser.add_argument("--bundled_steps", type=int, default=14, help="steps of 8 rows a round, bundled base")
    parser.add_argument("--lr_full", type=float, default=5e-4)
    parser.add_argument("--lr_lora", type=float, default=3e-3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", default="", help="file to write all figures to")
    return parser.parse_args()


def race(task: Task, names: Sequence[str], rounds: int, steps: int) -> dict[str, Result]:
    """Let the contenders train in turns, each in its own process.

    ``original`` does twice as many steps a round, a quarter of the rows each: it is here for its rate.
    """
    with tempfile.TemporaryDirectory() as scratch:
        lanes = {}
        for name in names:
            lanes[name] = _start(compete, replace(task, contender=name, scratch=f"{scratch}/{name}"))
        first = {name: _receive(lane) for name, lane in lanes.items()}
        done: dict[str, list[Round]] = {name: [] for name in names}
        for i in range(rounds):
            for name in names if i % 2 else names[::-1]:
                lanes[name].send(steps * 2 if name == "original" else steps)
                done[name].append(_receive(lanes[name]))
        peaks = {}
        for name, lane in lanes.items():
            lane.send(0)
            peaks[name] = _receive(lane)
    return {name: Result(done[name], first[name], peaks[name]) for name in names}


def tracking(task: Task) -> dict[str, float]:
    """Parley's run of whole epochs with a real MLflow store: seconds, those in the tracker, tokens/s, peak MB."""
    with tempfile.TemporaryDirectory() as scratch:
        return _receive(_start(track, replace(task, scratch=scratch)))


def _start(target: Any, task: Task) -> Connection:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    context.Process(target=target, args=(task, theirs), daemon=True).start()
    return ours


def _receive(lane: Connection) -> Any:
    message = lane.recv()
    if isinstance(message, str):
        raise SystemExit(message)
    return message


def print_race(title: str, results: dict[str, Result]) -> None:
    """One line a contender."""
    target = max(r.rounds[-1].eval_loss for r in results.values())
    ours = results["parley"]
    print(f"\n{title}: time to eval loss {target:.3f}, the highest that any contender ended with")
    heads = ("", "tokens/s", "Parley is", "train loss", "differs", "eval loss", "s to loss", "peak MB")
    rates = product_rates()
    print(f"matrix products of this machine: fp32 {rates['fp32']:.0f}, bf16 {rates['bf16']:.0f} GFLOP/s")
    print("{:<12}{:>9}{:>11}{:>12}{:>9}{:>11}{:>11}{:>9}".format(*heads))
    for name, result in results.items():
        ratio = median(a / b for a, b in zip(ours.rates, result.rates, strict=True))
        loss, gap = _mean_loss(result), ""
        if name not in ("parley", "original"):
            gap = f"{loss / _mean_loss(ours) - 1:+.3%}"
        print(
            f"{name:<12}{median(result.rates):>9.1f}{f'{ratio:.2f}x':>11}{loss:>12.4f}{gap:>9}"
            f"{result.rounds[-1].eval_loss:>11.4f}{result.seconds_to(target):>11.2f}{result.peak_mb:>9.0f}"
        )


def _mean_loss(result: Result) -> float:
    return fmean(itertools.chain.from_iterable(r.losses for r in result.rounds))


def print_tracked(tracked: dict[str, float], results: dict[str, Result]) -> None:
    """A whole run: its rate, tracking's share of its time, and its memory next to the bare loop's."""
    share = tracked["tracking_seconds"] / tracked["seconds"]
    print(
        f"a whole run with evaluations, resume points and MLflow: {tracked['rate']:.1f} tokens/s, "
        f"{tracked['seconds']:.1f} s of which {tracked['tracking_seconds']:.2f} s ({share:.1%}) tracking"
    )
    if "bare" in results:
        memory = tracked["peak_mb"] / results["bare"].peak_mb
        rate = tracked["rate"] / median(results["bare"].rates)
        print(f"next to the bare loop alone: {rate:.2f}x its rate, {memory:.2f}x its peak memory")


if __name__ == "__main__":
    main()
