"""The loss curve and the seconds of one process beside two with DDP and two with FSDP, on this machine.

    python benchmarks/several_processes.py [--base_model bundled] [--epochs 2] [--methods full,lora]

Each training is ``steps.pirate`` on the set ``clean`` in fp32, one thread a process, started by ``torchrun``, with an
empty store. Prints one row of a Markdown table each: the largest relative difference of ``train/loss`` and of
``eval/loss`` to one process, and the seconds of the training alone. Each must leave one tracked run and
one version.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from mlflow.tracking import MlflowClient

from registry import evaluation_run

ROOT = Path(__file__).resolve().parent.parent
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
WAYS: dict[str, tuple[tuple[str, ...], str]] = {
    "one process": ((), "auto"),
    "two, DDP": (TORCHRUN, "ddp"),
    "two, FSDP": (TORCHRUN, "fsdp"),
}
Curve = list[float]


def trained(way: str, flags: list[str]) -> tuple[Curve, Curve, float]:
    """(training losses, eval losses, seconds of training) of one run, which must leave one run and one version."""
    launcher, distributed = WAYS[way]
    with tempfile.TemporaryDirectory(prefix="processes-") as name:
        folder = Path(name)
        store = f"sqlite:///{folder / 'mlflow.db'}"
        env = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "PARLEY"))}
        env |= {"MLFLOW_TRACKING_URI": store, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, *launcher, "-m", "steps.pirate", *flags, "--distributed", distributed]
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stdout + done.stderr)
        client = MlflowClient(store)
        everything = client.search_runs([each.experiment_id for each in client.search_experiments()])
        [run] = evaluation_run.with_scores(everything)
        [version] = client.search_model_versions()
        assert version.run_id == run.info.run_id and run.info.status == "FINISHED"
        curves = [_curve(client, run.info.run_id, key) for key in ("train/loss", "eval/loss")]
        return curves[0], curves[1], run.data.metrics["time/train_s"]


def _curve(client: MlflowClient, run_id: str, key: str) -> Curve:
    return [point.value for point in sorted(client.get_metric_history(run_id, key), key=lambda point: point.step)]


def largest(one: Curve, other: Curve) -> float:
    """The largest relative difference between two curves of the same length."""
    return max(abs(a - b) / a for a, b in zip(one, other, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--base_model", default="bundled")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--methods", default="full,lora")
    args = parser.parse_args()
    print("| method | way | training loss differs by | eval loss differs by | training, s | times one process |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for method in args.methods.split(","):
        flags = ["--dataset", "clean", "--base_model", args.base_model, "--method", method, "--precision", "fp32"]
        flags += ["--epochs", str(args.epochs), "--threads", "1", "--max_new_tokens", "8", "--register_as", "compared"]
        found = {way: trained(way, flags) for way in WAYS if method == "full" or way != "two, FSDP"}
        alone = found["one process"]
        for way, (losses, evals, seconds) in found.items():
            apart = f"{largest(alone[0], losses):.1e} | {largest(alone[1], evals):.1e}"
            print(f"| {method} | {way} | {apart} | {seconds:.1f} | {seconds / alone[2]:.2f} |", flush=True)


if __name__ == "__main__":
    main()
