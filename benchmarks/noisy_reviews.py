"""What wrong labels do to the bundled base with LoRA: the rates, the five kinds, and real reviews.

Run from the project's root; the last part needs IMDB's two files::

    python -m benchmarks.noisy_reviews [--parts rates kinds imdb] [--imdb FOLDER] [--seeds 7] [-- --epochs 4 ...]

Every cell is a real run, in a process of its own, tracked in a store that is thrown away. ``rates`` is symmetric
noise on ``reviews``: clean at least .85, falling with the rate, a half within its interval at .5. ``kinds`` are the
five corruptions at .3, beside the clean one. ``imdb`` is 2,000 real rows without noise: better than chance with
p < .001 (exact binomial test). Exits with 1 where a bound is missed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from statistics import fmean

RATES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
KINDS = {"symmetric": {}, "one_sided": {}, "mildest_first": {}, "longest_first": {}, "trigger": {"word": "popcorn"}}
KIND_RATE = 0.3
CLEAN, HALF = 0.85, 0.5
#: One mean may lie this much above the one of the next lower rate before the fall is called broken.
SLACK = 0.02
#: Shares of answers that are positive differ by this much where a corruption takes sides.
TILT = 0.05
#: What every run of ``reviews`` is given unless the command line says otherwise.
SETTINGS = {"base_model": "bundled", "n_train": 3000, "n_test": 1000, "epochs": 3, "batch_size": 32}
SHOWN = ("accuracy", "auc", "ece", "mean_confidence", "positive_rate")
Cell = dict[str, float]


def main() -> None:
    """Run what is asked for and print bound, measured, met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="+", default=["rates", "kinds"], choices=["rates", "kinds", "imdb"])
    parser.add_argument("--imdb", default="", help="folder with imdb_train.jsonl.gz and imdb_test.jsonl.gz")
    parser.add_argument("--seeds", type=int, nargs="+", default=[7])
    parser.add_argument("--rates", type=float, nargs="+", default=list(RATES))
    args, flags = parser.parse_known_args()
    flags = [flag for flag in flags if flag != "--"]
    if "imdb" in args.parts and not args.imdb:
        parser.error("--imdb: say where the two files are")
    met = []
    if "rates" in args.parts:
        met += rates({rate: cells(args.seeds, flags, rate=rate) for rate in args.rates})
    if "kinds" in args.parts:
        found = {"clean": cells(args.seeds, flags, rate=0)}
        met += kinds(found | {kind: cells(args.seeds, flags, kind=kind, rate=KIND_RATE, **more)
                              for kind, more in KINDS.items()})  # fmt: skip
    if "imdb" in args.parts:
        met += imdb(cells(args.seeds, flags, dataset=args.imdb, n_train=2000, rate=0))
    sys.exit(not all(met))


def cells(seeds: list[int], flags: list[str], **settings: object) -> list[Cell]:
    """One run a seed (of training and of noise alike), each printed as it ends."""
    found = []
    for seed in seeds:
        own = {**SETTINGS, **settings, "seed": seed, "noise_seed": 35 + seed}
        start = time.perf_counter()
        found.append(run([*(f"--{name}={value}" for name, value in own.items()), *flags]))
        what = " ".join(f"{name}={value}" for name, value in settings.items())
        print(f"{what:40} seed {seed}  {said(found[-1])}  ({time.perf_counter() - start:.0f} s)", flush=True)
    return found


def run(words: list[str]) -> Cell:
    """One run in a store of its own: every metric by its key."""
    with tempfile.TemporaryDirectory() as place:
        env = {
            **os.environ,
            "MLFLOW_TRACKING_URI": f"sqlite:///{place}/mlflow.db",
            "PARLEY_OUTPUTS": f"{place}/outputs",
        }
        env["PYTHONPATH"] = os.pathsep.join(filter(None, [os.getcwd(), os.environ.get("PYTHONPATH")]))
        done = subprocess.run(
            [sys.executable, "-m", "steps.noisy", *words], env=env, cwd=place, capture_output=True, text=True
        )
        if done.returncode:
            sys.exit(done.stderr[-2000:])
        script = (
            "import json, mlflow; rs = [r for _, r in mlflow.search_runs(search_all_experiments=True).iterrows()];"
            "print(json.dumps({k[8:]: v for r in rs for k, v in r.items() if k.startswith('metrics.') and v == v}))"
        )
        read = subprocess.run([sys.executable, "-c", script], env=env, cwd=place, capture_output=True, text=True)
    return json.loads(read.stdout.splitlines()[-1])


def rates(found: dict[float, list[Cell]]) -> list[bool]:
    """Check the clean run, the fall, and chance at a half."""
    means = {rate: mean(found[rate], "accuracy") for rate in sorted(found)}
    lines = []
    if 0.0 in means:
        lines.append(("accuracy, clean", f">= {CLEAN}", f"{means[0.0]:.3f}", means[0.0] >= CLEAN))
    steps = list(means.values())
    falling = all(later <= earlier + SLACK for earlier, later in zip(steps, steps[1:], strict=False))
    falling = falling and steps[-1] < steps[0]
    if len(steps) > 1:
        lines.append(("accuracy by rate", "falling", " ".join(f"{value:.3f}" for value in steps), falling))
    if 0.5 in found:
        ends = [(cell["test/accuracy_low"], cell["test/accuracy_high"]) for cell in found[0.5]]
        inside = all(low <= HALF <= high for low, high in ends)
        lines.append(("95 % interval at rate .5", f"holds {HALF}", f"{ends[0][0]:.3f} to {ends[0][1]:.3f}", inside))
    return table(lines)


def kinds(found: dict[str, list[Cell]]) -> list[bool]:
    """Check that kinds differ where they should: in sides taken, and in how much the rest still teaches."""
    clean, even = mean(found["clean"], "accuracy"), mean(found["symmetric"], "positive_rate")
    tilt = even - mean(found["one_sided"], "positive_rate")
    trigger = mean(found["trigger"], "accuracy") - mean(found["symmetric"], "accuracy")
    worst = max(mean(found[kind], "accuracy") for kind in KINDS)
    return table([
        ("one_sided: fewer positive answers than symmetric", f">= {TILT}", f"{tilt:+.3f}", tilt >= TILT),
        ("trigger: accuracy above symmetric's", ">= 0", f"{trigger:+.3f}", trigger >= 0),
        ("no kind is better than clean", f"<= {SLACK}", f"{worst - clean:+.3f}", worst - clean <= SLACK),
    ])  # fmt: skip


def imdb(found: list[Cell]) -> list[bool]:
    """Check that 2,000 real rows teach something."""
    from scipy.stats import binomtest

    lines = []
    for cell in found:
        n, accuracy = round(cell["test/n"]), cell["test/accuracy"]
        p_value = binomtest(round(n * accuracy), n, HALF, alternative="greater").pvalue
        lines.append((f"IMDB, accuracy {accuracy:.3f} of {n}", "p < .001", f"{p_value:.2g}", p_value < 0.001))
    return table(lines)


def table(lines: list[tuple[str, str, str, bool]]) -> list[bool]:
    """Print what, bound, measured and met; the last of each."""
    print(f"\n{'what':50} {'bound':>12}  measured")
    for what, bound, measured, met in lines:
        print(f"{what:50} {bound:>12}  {measured}  {'met' if met else 'MISSED'}")
    return [met for *_, met in lines]


def mean(found: list[Cell], key: str) -> float:
    """The mean over seeds of a test metric."""
    return fmean(cell[f"test/{key}"] for cell in found)


def said(cell: Cell) -> str:
    """The metrics worth a line."""
    parts = [f"{key} {cell[f'test/{key}']:.3f}" for key in SHOWN if f"test/{key}" in cell]
    rest = {"memorised": "train/memorised_share", "detected": "detection/in_sample_auroc"}
    return "  ".join([*parts, *(f"{name} {cell[key]:.3f}" for name, key in rest.items() if key in cell)])


if __name__ == "__main__":
    main()
