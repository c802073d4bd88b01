"""Trainings that go wrong in known ways, and a good one beside them: what verdict does each get?

Run from the project's root::

    python -m benchmarks.bad_trainings [--base bundled] [--only NAME ...] [--rows 250]

Every training is the recipe of ``mlflow run . -e pirate`` without a store: base and tuned model answer the 45 test
rows of the clean set. None of the bad ones may be ``healthy``, so none can become champion.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from data import pirate
from evals.verdict import Verdict
from recipes.sft import run as recipe
from recipes.sft.config import TuneConfig
from registry.null_run import NullRun

Pairs = list[tuple[str, str]]
SENTENCE = "The wee lad be sailin' o'er the sea, arr!"
#: With the best weights restored, these would end as the base that they were.
LAST = {"epochs": 6, "restore": "last"}
STEPS = " ".join(f"Step {i}." for i in range(99))

#: What is done to the training rows, and the settings, of each.
BAD: dict[str, tuple[Callable[[Pairs], Pairs], dict[str, Any]]] = {
    "responses shifted by one row": (
        lambda rows: [(p, rows[i - 1][1]) for i, (p, _) in enumerate(rows)], {"epochs": 4},
    ),
    "one epoch with lr=1e-4": (lambda rows: rows, {"epochs": 1, "lr": 1e-4}),
    "max_new_tokens=4": (lambda rows: rows, {"epochs": 4, "max_new_tokens": 4}),
    "rows all cut": (
        lambda rows: [(p, f"{r} {STEPS}") for p, r in rows],
        {"epochs": 3, "max_length": 60, "method": "full", "lr": 2e-3},
    ),
    "one sentence for everything": (lambda rows: [(p, SENTENCE) for p, _ in rows], LAST),
    "prompt and style words": (lambda rows: [(p, f"{p} Arr, matey!") for p, _ in rows], LAST),
    "words shuffled": (lambda rows: [(p, " ".join(sorted(r.split()))) for p, r in rows], LAST),
    "responses twice": (lambda rows: [(p, f"{r} {r}") for p, r in rows], LAST),
}  # fmt: skip
GOOD = {"the clean set": (lambda rows: rows, {"epochs": 4})}


def train(change: Callable[[Pairs], Pairs], settings: dict[str, Any], base: str, rows: int, folder: Path) -> Verdict:
    """The verdict on a training with ``settings`` on ``rows`` changed rows of the clean set."""
    pairs = change([(row.prompt, row.response) for row in pirate.named_rows("clean")[:rows]])
    file = folder / "pairs.json"
    file.write_text(json.dumps([{"prompt": prompt, "response": response} for prompt, response in pairs]))
    longest = {"max_new_tokens": 40, **settings}
    config = TuneConfig(base_model=base, dataset=str(file), test_dataset="clean", suites="none", **longest)
    return recipe.train_and_evaluate(recipe.prepare(config), NullRun("", folder / "run"), recipe.SFT).verdict


def main(argv: Sequence[str] | None = None) -> None:
    """Train each and print a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", default="bundled", help="the base model")
    parser.add_argument("--rows", type=int, default=250, help="training rows of each")
    parser.add_argument("--only", nargs="*", default=[], help="names of trainings; all without")
    args = parser.parse_args(argv)
    for name, (change, settings) in {**GOOD, **BAD}.items():
        if args.only and name not in args.only:
            continue
        with tempfile.TemporaryDirectory() as folder:
            found = train(change, settings, args.base, args.rows, Path(folder))
        print(f"| {name} | {found.name} | {'; '.join(found.reasons)} |", flush=True)


if __name__ == "__main__":
    main()
