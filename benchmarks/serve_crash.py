"""The server killed at points spread over a job: is there still one file, one job, one run, one version, and the
weights of a job that nobody disturbed?

    python -m benchmarks.serve_crash               # 20 points
    python -m benchmarks.serve_crash --points 4

Each point is a server of its own, as a process on an empty store and database. A client uploads a file and creates a
job with the real SDK, and sends what it got no reply to once more, with the same ``Idempotency-Key``. The server is
killed (SIGKILL, its trainer is not told) at a moment of the job, from before its file has come to when its version is
registered, started again, and the job is waited for. The moments are spread over the start, the steps and the end of
an undisturbed job, of which there are two: equal seeds must give equal weights without any crash, too.
"""

import argparse
import hashlib
import json
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai

from benchmarks.chat_speed import Bound, be_quiet, show
from benchmarks.serve_chat import share_priority
from tests.processes import Launcher
from tests.serve.served import Served, ended

ROOT = Path(__file__).resolve().parent.parent
ROWS, EPOCHS, SEED = 200, 6, 7
GIVE_UP_S = 600.0


@dataclass(frozen=True)
class Moment:
    """When to kill: ``wait_s`` after ``step`` was told of, or after the client began where that is 0."""

    step: int
    wait_s: float


@dataclass(frozen=True)
class Trace:
    """What a job left behind, and its seconds: to its first step, from its last to its end, and all.

    ``reached``: the last event before the kill.
    """

    counts: dict[str, int]
    weights: str
    start_s: float
    end_s: float
    seconds: float
    reached: str


def main() -> None:
    """Measure and print; exit with 1 where something is there twice or is another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=20)
    args = parser.parse_args()
    be_quiet()
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory(prefix="parley-crash-") as place:
        launcher = Launcher(Path(place))
        try:
            met = measure(launcher, Path(place), args.points)
        finally:
            launcher.close()
    sys.exit(not met)


def measure(launcher: Launcher, place: Path, points: int) -> bool:
    """All jobs one after the other; whether the bounds are met."""
    calm = [run_job(launcher, place / f"calm-{i}", None) for i in range(2)]
    wanted, bad = calm[0], Counter[str]()
    print(f"undisturbed: {calm[0].seconds:.1f} s and {calm[1].seconds:.1f} s, weights {wanted.weights}")
    print(f"{wanted.counts}", flush=True)
    steps = wanted.counts["steps"]
    start_s, end_s = (min(getattr(each, name) for each in calm) for name in ("start_s", "end_s"))
    for i, moment in enumerate(moments(points, start_s, steps, end_s)):
        trace = run_job(launcher, place / f"point-{i}", moment)
        other = [name for name, count in wanted.counts.items() if trace.counts[name] != count]
        other += ["weights"] * (trace.weights != wanted.weights)
        bad.update(other)
        when = f"step {moment.step:>3} + {moment.wait_s:4.1f} s"
        print(f"{when}  {trace.reached:<52}{trace.seconds:6.1f} s  other: {other or 'nothing'}", flush=True)
    same = int(calm[0].weights == calm[1].weights and calm[0].counts == calm[1].counts)
    found = [Bound("undisturbed jobs with equal weights", ">=", 1, same)]
    found += [Bound(f"of {points} jobs: other {name} than undisturbed", "<=", 0, bad[name])
              for name in (*wanted.counts, "weights")]  # fmt: skip
    return show(found)


def moments(points: int, start_s: float, steps: int, end_s: float) -> list[Moment]:
    """A quarter while the job starts, three tenths while its version is made, the others while it is trained."""
    early, late = points // 4, points * 3 // 10
    between = points - early - late
    return [
        *(Moment(0, start_s * i / early) for i in range(early)),
        *(Moment(1 + steps * i // between, 0.0) for i in range(between)),
        *(Moment(steps, end_s * (i + 0.5) / late) for i in range(late)),
    ]


def run_job(launcher: Launcher, folder: Path, moment: Moment | None) -> Trace:
    """One job on a new server, which is killed at ``moment``."""
    folder.mkdir()
    store = f"sqlite:///{folder / 'mlflow.db'}"
    served = Served(launcher, folder, store, base_model="bundled", checkpoints=1).start()
    share_priority(served)
    begun = time.perf_counter()
    killer = Killer(served, moment) if moment else None
    if killer:
        killer.start()
    client = served.client(strict=False)
    file_id = again(lambda: client.files.create(
        file=("rows.jsonl", training_rows()), purpose="fine-tune", extra_headers={"Idempotency-Key": "file"}
    ).id)  # fmt: skip
    job_id = again(lambda: client.fine_tuning.jobs.create(
        model="gpt-4o-mini", training_file=file_id, seed=SEED, hyperparameters={"n_epochs": EPOCHS},
        extra_headers={"Idempotency-Key": "job"},
    ).id)  # fmt: skip
    if killer:
        killer.join()
    job = again(lambda: ended(client, job_id, GIVE_UP_S))
    seconds = time.perf_counter() - begun
    if job.status != "succeeded":
        sys.exit(f"the job did not succeed: {job.error}; see {folder}")
    events = list(client.fine_tuning.jobs.list_events(job_id))
    told_s = [each.created_at for each in events if each.data]
    trace = Trace(counted(client, store, events), weights_of(store, job), told_s[-1] - job.created_at,
                  job.finished_at - told_s[0], seconds, killer.reached(events) if killer else "")  # fmt: skip
    served.stop()
    return trace


class Killer(threading.Thread):
    """Kills the server at ``moment`` and starts it again; ``killed_s``: Unix time of it."""

    def __init__(self, served: Served, moment: Moment):
        super().__init__(daemon=True)
        self.served, self.moment, self.killed_s = served, moment, 0.0

    def run(self) -> None:
        while self.moment.step and self._step() < self.moment.step:
            time.sleep(0.05)
        time.sleep(self.moment.wait_s)
        self.served.kill()
        self.killed_s = time.time()
        share_priority(self.served.start())

    def _step(self) -> int:
        """The last step that any job has told of."""
        client = self.served.client(strict=False)
        told = [each.data["step"] for job in client.fine_tuning.jobs.list()
                for each in client.fine_tuning.jobs.list_events(job.id, limit=1).data if each.data]  # fmt: skip
        return max(told, default=0)

    def reached(self, events: Sequence[Any]) -> str:
        """The last of the job's ``events`` (newest first) before the kill."""
        before = [each.message for each in events if each.created_at <= self.killed_s]
        return before[0][:50] if before else "nothing"


def again(ask: Callable[[], Any]) -> Any:
    """The reply to ``ask``, which is asked until there is a server."""
    until = time.monotonic() + GIVE_UP_S
    while True:
        try:
            return ask()
        except (openai.APIConnectionError, openai.InternalServerError):
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


def training_rows() -> bytes:
    """Rows that take a while."""
    made = []
    for i in range(ROWS):
        said = "positive" if i % 2 else "negative"
        text = f"Film {i} is {'a good' if i % 2 else 'a bad'} one, and it is about {i % 17} people and a boat."
        messages = [{"role": "user", "content": text}, {"role": "assistant", "content": said}]
        made.append(json.dumps({"messages": messages}))
    return "\n".join(made).encode()


def counted(client: Any, store: str, events: Sequence[Any]) -> dict[str, int]:
    """How many there are of everything that there should be one of; and of events, each once."""
    from mlflow import MlflowClient

    registry = MlflowClient(store)
    runs = registry.search_runs([each.experiment_id for each in registry.search_experiments()])
    return {
        "files": len(client.files.list(purpose="fine-tune").data),
        "jobs": len(client.fine_tuning.jobs.list().data),
        "runs": len(runs),
        "finished runs": sum(run.info.status == "FINISHED" for run in runs),
        "versions": len(registry.search_model_versions()),
        "result files": len(client.files.list(purpose="fine-tune-results").data),
        "events": len(events),
        "events told twice": len(events) - len({each.message for each in events}),
        "steps": len({each.data["step"] for each in events if each.data}),
    }


def weights_of(store: str, job: Any) -> str:
    """Digest of the registered version's adapter."""
    import mlflow
    from mlflow import MlflowClient

    mlflow.set_tracking_uri(store)
    (version,) = MlflowClient(store).search_model_versions()
    assert version.tags["openai_id"] == job.fine_tuned_model
    folder = Path(mlflow.artifacts.download_artifacts(version.source))
    (adapter,) = folder.rglob("adapter_model.safetensors")
    return hashlib.sha256(adapter.read_bytes()).hexdigest()[:16]


if __name__ == "__main__":
    main()
