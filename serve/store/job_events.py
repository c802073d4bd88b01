"""Events of fine-tuning jobs: messages, and the metrics of each training step."""

import csv
import io
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, RowMapping, select

from serve.ids import fresh_id
from serve.store.database import now_s, page
from serve.store.tables import events

RESULT_COLUMNS = ("step", "train_loss", "train_accuracy", "valid_loss", "valid_mean_token_accuracy")
#: The event data that the columns after ``step`` hold.
RESULT_VALUES = ("train_loss", "train_mean_token_accuracy", "valid_loss", "valid_mean_token_accuracy")


def add_event(
    connection: Connection,
    job_id: str,
    mark: str,
    message: str,
    level: str = "info",
    data: Mapping[str, Any] | None = None,
) -> None:
    """Add an event, unless the job has one with this ``mark``: what is trained again after a crash is listed once."""
    known = select(events.c.number).where(events.c.job_id == job_id, events.c.mark == mark)
    if connection.execute(known).scalar() is None:
        row = {"id": fresh_id("ftevent-"), "job_id": job_id, "mark": mark, "created_at": now_s(), "level": level}
        connection.execute(events.insert().values(message=message, data=data, **row))


def add_metrics(connection: Connection, job_id: str, step: int, message: str, data: Mapping[str, Any]) -> None:
    """Add the event of a training step; ``data`` holds ``step``, ``total_steps`` and the metrics by OpenAI's names."""
    add_event(connection, job_id, f"step-{step}", message, data=data)


def metrics_by_step(connection: Connection, job_id: str) -> dict[int, dict[str, Any]]:
    """The data of each step's event, by step, in the order of the events."""
    query = select(events.c.data).where(events.c.job_id == job_id, events.c.mark.like("step-%"))
    return {data["step"]: data for data in connection.execute(query.order_by(events.c.number)).scalars()}


def result_csv(metrics: Mapping[int, Mapping[str, Any]]) -> bytes:
    """OpenAI's result file ``step_metrics.csv``: one line a step, empty where a metric was not computed."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(RESULT_COLUMNS)
    for step, data in sorted(metrics.items()):
        writer.writerow([step, *(data.get(name, "") for name in RESULT_VALUES)])
    return out.getvalue().encode()


def listing(connection: Connection, job_id: str, after: str | None, limit: int) -> dict[str, Any]:
    """A page of the job's events, newest first."""
    rows, more = page(connection, events, [events.c.job_id == job_id], after, limit)
    return {"object": "list", "data": [_describe(row) for row in rows], "has_more": more}


def _describe(row: RowMapping) -> dict[str, Any]:
    shown = {name: row[name] for name in ("id", "created_at", "level", "message", "data")}
    return {"object": "fine_tuning.job.event", **shown, "type": "metrics" if row["data"] else "message"}
