"""Checkpoints of fine-tuning jobs: the epochs whose weights are models of their own."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, RowMapping

from serve.ids import fresh_id
from serve.store import job_events
from serve.store.database import now_s, page, paged
from serve.store.tables import checkpoints


def add(connection: Connection, job_id: str, step: int, model: str, metrics: Mapping[str, Any]) -> None:
    """Add the checkpoint of ``step``, and its event; ``model`` is the id of the model that its weights are."""
    connection.execute(checkpoints.insert().values(
        id=fresh_id("ftckpt_"), job_id=job_id, step=step, model=model, created_at=now_s(), metrics=metrics,
    ))  # fmt: skip
    job_events.add_event(connection, job_id, f"checkpoint-{step}", f"Checkpoint created at step {step}")


def listing(connection: Connection, job_id: str, after: str | None, limit: int) -> dict[str, Any]:
    """A page of the job's checkpoints, newest first."""
    rows, more = page(connection, checkpoints, [checkpoints.c.job_id == job_id], after, limit)
    return paged([_describe(row) for row in rows], more)


def _describe(row: RowMapping) -> dict[str, Any]:
    return {
        "object": "fine_tuning.job.checkpoint",
        "id": row["id"],
        "created_at": row["created_at"],
        "fine_tuned_model_checkpoint": row["model"],
        "fine_tuning_job_id": row["job_id"],
        "metrics": row["metrics"],
        "step_number": row["step"],
    }
