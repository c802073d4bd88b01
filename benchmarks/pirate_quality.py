"""What the main job reaches with default settings: three seeds, on the clean set and on pairs of one's own.

Run from the project's root::

    python -m benchmarks.pirate_quality [--base smollm2] [--pairs FILE] [--seeds 7 8 9] [-- -P epochs=10 ...]

Every run is the whole command, ``mlflow run . -e pirate``, tracked in a store that is thrown away. Besides quality it
gives the wall time of the command and the share that is neither training nor evaluation.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean

Bounds = dict[str, tuple[str, float]]

#: By base model, on the clean set and on pairs of one's own: the least or largest value that is wanted of each metric.
BOUNDS: dict[str, tuple[Bounds, Bounds]] = {
    "smollm2": (
        {"lexicon_rate": (">=", 0.95), "content_rate": (">=", 0.95), "chrf": (">=", 90)},
        {
            "lexicon_rate": (">=", 0.85),
            "echo_rate": ("<=", 0.05),
            "loop_rate": ("<=", 0.05),
            "stop_rate": (">=", 0.95),
        },
    ),
    "bundled": (
        {
            "lexicon_rate": (">=", 0.90),
            "content_rate": (">=", 0.85),
            "chrf": (">=", 63.2),  # 10 above copying the prompt
            "echo_rate": ("<=", 0.05),
            "loop_rate": ("<=", 0.03),
            "stop_rate": (">=", 0.97),
        },
        {
            "lexicon_rate": (">=", 0.80),
            "echo_rate": ("<=", 0.05),
            "loop_rate": ("<=", 0.03),
            "stop_rate": (">=", 0.95),
        },
    ),
}
WALL_S = {"smollm2": 120, "bundled": 180}
START_UP = 0.25


def main() -> None:
    """Run every seed on every data set and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", default="smollm2", choices=BOUNDS, help="the base model")
    parser.add_argument("--pairs", default="", help="a pairs file to run besides the clean set")
    parser.add_argument("--only_pairs", action="store_true", help="leave the clean set out")
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 8, 9])
    args, given = parser.parse_known_args()
    given = [word for word in given if word != "--"]
    for dataset, bounds in zip(("clean", args.pairs), BOUNDS[args.base], strict=True):
        if dataset and not (args.only_pairs and dataset == "clean"):
            results = [run(args.base, dataset, seed, given) for seed in args.seeds]
            show(Path(dataset).name, results, bounds, WALL_S[args.base])


def run(base: str, dataset: str, seed: int, given: list[str]) -> dict[str, float | str]:
    """One command with a store of its own: every metric, the verdict, and its wall time in seconds."""
    with tempfile.TemporaryDirectory() as place:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        env = {**os.environ, "PATH": path, "PARLEY_OUTPUTS": f"{place}/outputs"}
        env["MLFLOW_TRACKING_URI"] = f"sqlite:///{place}/mlflow.db"
        settings = {"dataset": dataset, "base_model": base, "seed": seed}
        words = [word for name, value in settings.items() for word in ("-P", f"{name}={value}")]
        command = [sys.executable, "-m", "mlflow", "run", ".", "-e", "pirate", "--env-manager", "local"]
        start = time.perf_counter()
        done = subprocess.run([*command, *words, *given], env=env, capture_output=True, text=True)
        wall_s = time.perf_counter() - start
        if done.returncode:
            sys.exit(done.stderr[-2000:])
        script = (
            "import json,mlflow,sys; rs=[r for _, r in mlflow.search_runs(search_all_experiments=True).iterrows()];"
            "found = {k[8:]: v for r in rs for k, v in r.items() if k.startswith('metrics.') and v == v};"
            "print(json.dumps({**found, 'verdict': rs[0]['tags.verdict']}))"
        )
        read = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
    return {**json.loads(read.stdout.splitlines()[-1]), "wall_s": wall_s}


def show(name: str, results: list[dict], bounds: Bounds, most_s: float) -> None:
    """Print one line a metric: base, each seed, mean, bound."""
    print(f"\n{name}: verdicts {', '.join(r['verdict'] for r in results)}")
    for key in ("lexicon_rate", "content_rate", "chrf", "echo_rate", "loop_rate", "stop_rate"):
        values = [r.get(f"test/{key}", float("nan")) for r in results]
        line = f"  {key:13} base {results[0].get(f'base/{key}', float('nan')):.3f}  tuned {_row(values)}"
        if key in bounds:
            sign, bound = bounds[key]
            line += f"  {sign} {bound:g} {_met(all(v >= bound if sign == '>=' else v <= bound for v in values))}"
        print(line)
    wall = [r["wall_s"] for r in results]
    parts = {part: [r[f"time/{part}_s"] for r in results] for part in ("train", "evaluate")}
    rest = [1 - (train + evaluate) / all_s for train, evaluate, all_s in zip(*parts.values(), wall, strict=True)]
    print(f"  wall time     {' '.join(f'{w:.0f}' for w in wall)} s  < {most_s:g} {_met(max(wall) < most_s)}")
    print("  of it         " + ", ".join(f"{part} {' '.join(f'{s:.0f}' for s in s_)} s" for part, s_ in parts.items()))
    print(f"  start-up      {' '.join(f'{r:.2f}' for r in rest)} of it  < {START_UP} {_met(max(rest) < START_UP)}")


def _row(values: list[float]) -> str:
    return f"{' '.join(f'{v:.3f}' for v in values)}  mean {mean(values):.3f}"


def _met(true: bool) -> str:
    return "met" if true else "MISSED"


if __name__ == "__main__":
    main()
