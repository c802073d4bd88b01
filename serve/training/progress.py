"""What a trainer tells of its job: curves in MLflow and events here, each step once however often it is trained."""

import time
from collections.abc import Mapping

from registry.runs import Run
from serve.store import job_events, jobs
from serve.store.database import Database, now_s

LIVE_S = 2.0  # so often curves and events are delivered while training runs
#: OpenAI's names of what the trainer measures.
TRAIN = {"train/loss": "train_loss", "train/token_accuracy": "train_mean_token_accuracy"}
VALID = {"eval/loss": "valid_loss", "eval/token_accuracy": "valid_mean_token_accuracy"}
WORDS = {"train_loss": "training loss", "valid_loss": "validation loss", "full_valid_loss": "full validation loss"}


class JobInterrupted(Exception):  # noqa: N818
    """The job is no longer this trainer's: it was cancelled or paused."""


class JobTracker:
    """A tracker of the training loop (``log`` and ``flush``) that reports to the job.

    Args:
        total_steps: of the whole job; ``epoch_steps`` are those at which an epoch ends.
        validates: there is a validation file. The loop evaluates in any case, as it makes its resume points then.
    """

    def __init__(
        self, database: Database, job_id: str, run: Run, total_steps: int, epoch_steps: set[int], validates: bool
    ):
        self.database, self.job_id, self.run = database, job_id, run
        self.total_steps, self.epoch_steps, self.validates = total_steps, epoch_steps, validates
        self._steps: dict[int, dict[str, float]] = {}  # told of, but not delivered yet
        self._began: tuple[float, int] | None = None
        self._delivered_s = time.monotonic()

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Take ``metrics``; what is known of earlier steps is whole now, and is delivered if it is time."""
        kept = {key: value for key, value in metrics.items() if self.validates or key not in VALID}
        self.run.log(step, kept)
        if step not in self._steps and time.monotonic() - self._delivered_s >= LIVE_S:
            self._deliver()
        told = self._told(step, kept)
        if told and step:
            self._steps.setdefault(step, {}).update(told)
        self._began = self._began or (time.monotonic(), step)

    def flush(self) -> None:
        """Deliver everything: a resume point is about to be made."""
        self._deliver()

    def _told(self, step: int, metrics: Mapping[str, float]) -> dict[str, float]:
        told = {name: metrics[key] for key, name in {**TRAIN, **VALID}.items() if key in metrics}
        if step in self.epoch_steps:
            told |= {f"full_{name}": metrics[key] for key, name in VALID.items() if key in metrics}
        return told

    def _deliver(self) -> None:
        self.run.flush()
        if self._steps:
            with self.database.write() as connection:
                estimate_s = self._estimate(max(self._steps))
                if not jobs.update_running(connection, self.job_id, estimated_finish=estimate_s):
                    raise JobInterrupted
                for step, told in sorted(self._steps.items()):
                    data = {"step": step, "total_steps": self.total_steps, **told}
                    said = ", ".join(f"{words}={told[name]:.2f}" for name, words in WORDS.items() if name in told)
                    message = f"Step {step}/{self.total_steps}: {said}"
                    job_events.add_metrics(connection, self.job_id, step, message, data)
            self._steps.clear()
        self._delivered_s = time.monotonic()

    def _estimate(self, step: int) -> int | None:
        if self._began is None or step <= self._began[1]:
            return None
        per_step_s = (time.monotonic() - self._began[0]) / (step - self._began[1])
        return now_s() + round(per_step_s * (self.total_steps - step))

    def point(self, step: int) -> None:
        """A resume point was made: crashes are counted anew from here."""
        with self.database.write() as connection:
            jobs.update_running(connection, self.job_id, step=step, crashes=0)
