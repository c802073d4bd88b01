"""The tracker of a fine-tuning job: metrics go to MLflow and become job events, each step once even after a crash."""

import time
from collections.abc import Mapping

from registry.runs import Run
from serve.store import job_events, jobs
from serve.store.database import Database, now_s

#: Seconds between two writes of metrics and events while training runs.
LIVE_S = 2.0
#: OpenAI's names of the training loop's metrics.
NAMES = {
    "loss": "loss",
    "token_accuracy": "mean_token_accuracy",
    "reward_accuracy": "mean_reward_accuracy",
    "reward_margin": "mean_reward_margin",
}
TRAIN = {f"train/{key}": f"train_{name}" for key, name in NAMES.items()}
VALID = {f"eval/{key}": f"valid_{name}" for key, name in NAMES.items()}
WORDS = {"train_loss": "training loss", "valid_loss": "validation loss", "full_valid_loss": "full validation loss"}


class JobInterrupted(Exception):  # noqa: N818
    """The job was cancelled or paused, so this process must stop training it."""


class JobTracker:
    """A tracker of the training loop (``log`` and ``flush``) that reports to the job.

    Args:
        total_steps: of the whole job; ``epoch_steps`` are those at which an epoch ends.
        validates: there is a validation file. The loop evaluates in any case, as it makes its resume points then.
    """

    def __init__(
        self, database: Database, job_id: str, run: Run, total_steps: int, epoch_steps: set[int], validates: bool
    ) -> None:
        self.database, self.job_id, self.run = database, job_id, run
        self.total_steps, self.epoch_steps, self.validates = total_steps, epoch_steps, validates
        self._steps: dict[int, dict[str, float]] = {}  # by step, metrics that are not events yet
        self._began: tuple[float, int] | None = None
        self._delivered_s = time.monotonic()

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Log ``metrics``. A first metric of a step completes the steps before, which are written if it is time."""
        kept = {key: value for key, value in metrics.items() if self.validates or key not in VALID}
        self.run.log(step, kept)
        if step not in self._steps and time.monotonic() - self._delivered_s >= LIVE_S:
            self._deliver()
        renamed = self._renamed(step, kept)
        if renamed and step:
            self._steps.setdefault(step, {}).update(renamed)
        self._began = self._began or (time.monotonic(), step)

    def flush(self) -> None:
        """Write everything: a resume point is about to be made.

        Raises:
            JobInterrupted: the job was cancelled or paused.
        """
        self._deliver()

    def _renamed(self, step: int, metrics: Mapping[str, float]) -> dict[str, float]:
        """The metrics that OpenAI reports too, by its names; an epoch's end has the full validation metrics."""
        renamed = {name: metrics[key] for key, name in {**TRAIN, **VALID}.items() if key in metrics}
        if step in self.epoch_steps:
            renamed |= {f"full_{name}": metrics[key] for key, name in VALID.items() if key in metrics}
        return renamed

    def _deliver(self) -> None:
        self.run.flush()
        if self._steps:
            with self.database.write() as connection:
                estimate_s = self._estimate(max(self._steps))
                if not jobs.update_running(connection, self.job_id, estimated_finish=estimate_s):
                    raise JobInterrupted
                for step, metrics in sorted(self._steps.items()):
                    data = {"step": step, "total_steps": self.total_steps, **metrics}
                    losses = ", ".join(f"{words}={metrics[key]:.2f}" for key, words in WORDS.items() if key in metrics)
                    message = f"Step {step}/{self.total_steps}: {losses}"
                    job_events.add_metrics(connection, self.job_id, step, message, data)
            self._steps.clear()
        self._delivered_s = time.monotonic()

    def _estimate(self, step: int) -> int | None:
        """When the job will finish, in seconds since the epoch; None before a step has been timed."""
        if self._began is None or step <= self._began[1]:
            return None
        per_step_s = (time.monotonic() - self._began[0]) / (step - self._began[1])
        return now_s() + round(per_step_s * (self.total_steps - step))

    def point(self, step: int) -> None:
        """Record a resume point at ``step``: from here on crashes are counted from zero."""
        with self.database.write() as connection:
            jobs.update_running(connection, self.job_id, step=step, crashes=0)
