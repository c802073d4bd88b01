"""What a trainer tells of its job: curves in MLflow and events here, each step once however often it is trained."""

import csv
import io
import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from registry.runs import Run
from serve.ids import fresh_id
from serve.store import files, jobs
from serve.store.database import Database, now_s
from serve.store.tables import checkpoints, events

LIVE_S = 2.0  # so often curves and events are delivered while training runs
RESULT_COLUMNS = ("step", "train_loss", "train_accuracy", "valid_loss", "valid_mean_token_accuracy")
#: OpenAI's names of what the trainer measures.
TRAIN = {"train/loss": "train_loss", "train/token_accuracy": "train_mean_token_accuracy"}
VALID = {"eval/loss": "valid_loss", "eval/token_accuracy": "valid_mean_token_accuracy"}
WORDS = {"train_loss": "training loss", "valid_loss": "validation loss", "full_valid_loss": "full validation loss"}


class JobInterrupted(Exception):  # noqa: N818
    """The job is no longer this trainer's: it was cancelled or paused."""


class Progress:
    """A tracker of the training loop (``log`` and ``flush``).

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
                values = {"estimated_finish": self._estimate(max(self._steps))}
                if not jobs.move(connection, self.job_id, ("running",), **values):
                    raise JobInterrupted
                for step, told in sorted(self._steps.items()):
                    data = {"step": step, "total_steps": self.total_steps, **told}
                    said = ", ".join(f"{words}={told[name]:.2f}" for name, words in WORDS.items() if name in told)
                    message = f"Step {step}/{self.total_steps}: {said}"
                    jobs.add_event(connection, self.job_id, f"step-{step}", message, data=data)
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
            jobs.move(connection, self.job_id, ("running",), step=step, crashes=0)


def metrics_by_step(database: Database, job_id: str) -> dict[int, dict[str, Any]]:
    """What was told of each step."""
    query = (
        select(events.c.data).where(events.c.job_id == job_id, events.c.mark.like("step-%")).order_by(events.c.number)
    )
    with database.read() as connection:
        return {data["step"]: data for data in connection.execute(query).scalars()}


def succeed(database: Database, job_id: str, models: Mapping[int, str], trained_tokens: int) -> bool:
    """Make the job a finished one: result file, checkpoints and events appear at once; False where it was overtaken.

    Args:
        models: id of the model of each kept checkpoint, by step; the last one is the fine-tuned model.
    """
    told = metrics_by_step(database, job_id)
    with database.write() as connection:
        row = jobs.row_of(connection, job_id)
        if row["status"] != "running":
            return row["status"] == "succeeded"
        result_file = files.add_small(connection, _result_csv(told), "step_metrics.csv", "fine-tune-results")
        for step, model in sorted(models.items()):
            metrics = {key: value for key, value in told.get(step, {}).items() if key != "total_steps"}
            connection.execute(checkpoints.insert().values(
                id=fresh_id("ftckpt_"), job_id=job_id, step=step, model=model, created_at=now_s(), metrics=metrics,
            ))  # fmt: skip
            jobs.add_event(connection, job_id, f"checkpoint-{step}", f"Checkpoint created at step {step}")
        jobs.add_event(connection, job_id, "model", f"New fine-tuned model created: {row['result']}")
        jobs.add_event(connection, job_id, "done", "The job has successfully completed")
        return jobs.move(
            connection, job_id, ("running",), status="succeeded", finished_at=now_s(), estimated_finish=None,
            trained_tokens=trained_tokens, result_file=result_file,
        )  # fmt: skip


def fail(database: Database, job_id: str, code: str, message: str, param: str | None = None) -> bool:
    """Make the job a failed one; False where it was overtaken."""
    error = {"code": code, "message": message, "param": param}
    with database.write() as connection:
        done = jobs.move(
            connection, job_id, jobs.ACTIVE, status="failed", finished_at=now_s(), estimated_finish=None, error=error
        )
        if done:
            jobs.add_event(connection, job_id, "failed", f"The job failed: {message}", "error")
        return done


def _result_csv(told: Mapping[int, Mapping[str, Any]]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(RESULT_COLUMNS)
    for step, data in sorted(told.items()):
        names = ("train_loss", "train_mean_token_accuracy", "valid_loss", "valid_mean_token_accuracy")
        writer.writerow([step, *(data.get(name, "") for name in names)])
    return out.getvalue().encode()
