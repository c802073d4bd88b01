"""The client of a fine-tuning job killed at 50 points spread over a job, and started again each time.

    python -m benchmarks.openai_crash          # 50 points
    python -m benchmarks.openai_crash 10

Each point is a job of its own, at an API on this machine that counts what it is asked; the client is the real step in
a process of its own, and the kill SIGKILL. Four of five points are requests, evenly spread over those of a job that
nobody kills, half of them killed before the API has done what was asked and half after, its answer lost. The others are
moments after the last request, while models are logged and registered.
"""

import os
import re
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlflow.tracking import MlflowClient

from tests.fake_openai import KEY, Fake, kill_at
from tests.processes import ROOT, Launcher, Step
from tests.study_rows import write_rows

SLOTS = 4
STEPS = 30
#: Versions of one job: one of each epoch.
VERSIONS = 2
FLAGS = ["--provider=openai", "--n_train=0", "--n_test=16", "--n_memory=8", f"--slots={SLOTS}"]


@dataclass
class Trial:
    """One job: its API, its folder, and how its client is started."""

    launcher: Launcher
    fake: Fake
    folder: Path

    def start(self, *flags: str) -> Step:
        env = {
            "OPENAI_BASE_URL": self.fake.address, "OPENAI_API_KEY": KEY, "OMP_NUM_THREADS": "1",
            "MLFLOW_TRACKING_URI": f"sqlite:///{self.folder / 'mlflow.db'}",
            "PARLEY_OUTPUTS": str(self.folder / "outputs"),
        }  # fmt: skip
        return self.launcher.start("steps.noisy", flags, env, self.folder)

    def first(self) -> Step:
        rows = [f"--{name}={self.folder / file}" for name, file in
                (("dataset", "rows.csv"), ("test_dataset", "tests.csv"))]  # fmt: skip
        return self.start(*rows, *FLAGS)

    def is_finished(self, run_id: str) -> bool:
        """Whether there is nothing to go on with: it was killed when all was done and on its way out."""
        return MlflowClient(f"sqlite:///{self.folder / 'mlflow.db'}").get_run(run_id).info.status == "FINISHED"

    def faults(self, run_id: str) -> list[str]:
        """What is there more or less often than once, in words."""
        client = MlflowClient(f"sqlite:///{self.folder / 'mlflow.db'}")
        purposes = Counter(file["purpose"] for file in self.fake.files.values())
        versions = client.search_model_versions()
        points = [m.step for m in client.get_metric_history(run_id, "train/loss")]
        paid_twice = sum(self.fake.answered.values()) - len(self.fake.answered)
        seen = {
            "files": (purposes["fine-tune"], 2),
            "jobs": (len(self.fake.jobs), 1),
            "runs": (len(client.search_runs([e.experiment_id for e in client.search_experiments()])), 1),
            "versions": (len({v.tags["openai_id"] for v in versions}), VERSIONS),
            "doubled versions": (len(versions), VERSIONS),
            "points of the curve": (sorted(points), list(range(1, STEPS + 1))),
            "answers more than were on their way": (max(0, paid_twice - SLOTS), 0),
            "status": (client.get_run(run_id).info.status, "FINISHED"),
        }
        return [f"{name}: {found}" for name, (found, wanted) in seen.items() if found != wanted]


@contextmanager
def trial(launcher: Launcher, store: Path) -> Iterator[Trial]:
    fake = Fake(steps=STEPS, steps_a_look=STEPS // 3, epochs=VERSIONS).start()
    with tempfile.TemporaryDirectory(prefix="parley-crash-") as name:
        folder = Path(name)
        write_rows(folder)
        (folder / "mlflow.db").write_bytes(store.read_bytes())
        try:
            yield Trial(launcher, fake, folder)
        finally:
            fake.stop()


def whole(launcher: Launcher, store: Path) -> tuple[int, float]:
    """Requests of a job that nobody kills, and the seconds from the last of them until its version is registered."""
    with trial(launcher, store) as job:
        last = [0.0]
        job.fake.before = lambda *args: last.__setitem__(0, time.monotonic())
        step = job.first()
        step.wait_for(lambda: "\nNext " in step.stdout, "the end of the job")
        tail_s = time.monotonic() - last[0]
        assert step.wait() == 0, step.stderr
        assert job.faults(run_of(step)) == []
        return len(job.fake.requests), tail_s


def killed(launcher: Launcher, store: Path, arm: Callable[[Trial, Step], None]) -> tuple[str, list[str], int]:
    """(where it was killed, what is wrong after it was started again, answers that were asked for twice)."""
    with trial(launcher, store) as job:
        began = threading.Event()
        job.fake.before = lambda *args: began.wait(30) and None  # no request is seen before the kill is armed
        step = job.first()
        arm(job, step)
        began.set()
        code = step.wait()
        method, path = job.fake.requests[-1]
        where = f"{len(job.fake.requests)} {method} {re.sub(r'(job|file|batch)s?-[0-9]+', '...', path)}"
        job.fake.before = job.fake.after = lambda *args: None
        if code != -signal.SIGKILL:
            return where, [f"it was not killed: exit code {code}"], 0
        if job.is_finished(run_of(step)):
            return f"{where}, its run finished", job.faults(run_of(step)), 0
        again = job.start("--resume", run_of(step))
        code = again.wait()
        faults = job.faults(run_of(step)) if code == 0 else [f"exit code {code}: {again.stderr.strip()[-300:]}"]
        return where, faults, sum(job.fake.answered.values()) - len(job.fake.answered)


def run_of(step: Step) -> str:
    found = re.search(r"^Run (\w+)", step.stdout, re.MULTILINE)
    assert found, step.stdout + step.stderr
    return found[1]


def at_request(number: int, after: bool) -> Callable[[Trial, Step], None]:
    def arm(job: Trial, step: Step) -> None:
        setattr(job.fake, "after" if after else "before", kill_at(step.pid, number))
        if after:
            job.fake.before = lambda *args: None

    return arm


def at_moment(requests: int, delay_s: float) -> Callable[[Trial, Step], None]:
    """Killed so many seconds after the last request was answered."""

    def arm(job: Trial, step: Step) -> None:
        def after(number: int, method: str, path: str) -> None:
            if number == requests:
                threading.Timer(delay_s, lambda: step.signal(signal.SIGKILL)).start()

        job.fake.before, job.fake.after = (lambda *args: None), after

    return arm


def points(count: int, requests: int, tail_s: float) -> Iterator[tuple[str, Callable[[Trial, Step], None]]]:
    late = count // 5
    early = count - late
    for i in range(early):
        number, after = 1 + round(i * (requests - 1) / (early - 1)), bool(i % 2)
        yield f"{'after' if after else 'before'} request", at_request(number, after)
    for i in range(late):
        delay_s = tail_s * (i + 0.5) / late
        yield f"{delay_s:.1f} s after request", at_moment(requests, delay_s)


def main(count: int) -> None:
    with tempfile.TemporaryDirectory(prefix="parley-crash-") as folder:
        store = Path(folder) / "mlflow.db"
        MlflowClient(f"sqlite:///{store}").search_experiments()
        os.environ["PYTHONPATH"] = str(ROOT)  # for the clients, which run in folders of their own
        launcher = Launcher(Path(folder))
        try:
            requests, tail_s = whole(launcher, store)
            print(f"a job is {requests} requests, and {tail_s:.1f} s after the last of them", flush=True)
            bad, twice, start = 0, [], time.monotonic()
            for i, (when, arm) in enumerate(points(count, requests, tail_s), 1):
                where, faults, doubled = killed(launcher, store, arm)
                bad += bool(faults)
                twice.append(doubled)
                print(f"{i:3} killed {when} {where}: {'; '.join(faults) or 'all once'}", flush=True)
            print(
                f"{count} kills in {time.monotonic() - start:.0f} s: {count - bad} with one training file, one "
                f"validation file, one job and {VERSIONS} versions (one a checkpoint); {bad} without. Answers lost on "
                f"their way and asked for again: {sum(twice)} in all, {max(twice)} at most in one job ({SLOTS} slots)"
            )
        finally:
            launcher.close()


if __name__ == "__main__":
    main(int((sys.argv[1:] or ["50"])[0]))
