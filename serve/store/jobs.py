"""Fine-tuning jobs: made, listed, moved from one status to the next, and told of in events.

A job's status is the one truth about it. Whoever moves a job says which statuses it may come from, so that of two who
move it at once only one does. Its trainer is a process that can end at any moment; the job then goes on elsewhere.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, exists, func, select

from data.formats.openai import LEAST_ROWS
from serve import model_names
from serve.errors import FINAL, RequestError, missing
from serve.ids import fresh_id
from serve.model_names import ModelNames
from serve.store import files, idempotency
from serve.store.database import Database, now_s, page
from serve.store.hyperparameters import resolve
from serve.store.tables import checkpoints, events, jobs, pairs

ACTIVE = ("validating_files", "queued", "running")
OVER = files.OVER
ROUTE = "jobs"


def create(
    database: Database, asked: Mapping[str, Any], known: ModelNames, organization: str, queue: int, key: str
) -> str:
    """Make the job that ``asked`` (checked fields of the request) describes; returns its id.

    Raises:
        Fault: a file or model can't be used, the method is none that is known, or the queue is full.
    """
    base = known.base_of(asked["model"])
    if base is None:
        raise _no_base(asked["model"])
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
    with database.write() as connection:
        earlier = idempotency.kept(connection, ROUTE, key, digest)
        if earlier is not None:
            return earlier
        rows = _require_files(connection, asked)
        _require_room(connection, queue)
        job_id, suffix = fresh_id("ftjob-"), asked["suffix"]
        made = connection.execute(jobs.insert().values(
            id=job_id, created_at=now_s(), model=asked["model"], base=base, suffix=suffix,
            seed=secrets.randbelow(2**31) if asked["seed"] is None else asked["seed"], method=asked["method"],
            hyperparameters=resolve(asked["hyperparameters"], rows), training_file=asked["training_file"],
            validation_file=asked["validation_file"], integrations=asked["integrations"],
            pairs=asked["metadata"], status="validating_files", step=0, crashes=0,
            result=model_names.fine_tuned_name(asked["model"], organization, suffix),
            registered=model_names.registered_name(asked["model"], suffix),
        ))  # fmt: skip
        assert made.inserted_primary_key
        for name, value in asked["metadata"].items():
            connection.execute(pairs.insert().values(job=made.inserted_primary_key[0], name=name, value=value))
        add_event(connection, job_id, "created", f"Created fine-tuning job: {job_id}")
        add_event(connection, job_id, "validating", f"Validating training file: {asked['training_file']}")
        idempotency.keep(connection, ROUTE, key, digest, job_id)
    return job_id


def _no_base(model: str) -> RequestError:
    if model.startswith("ft:"):
        why = "a model that is fine-tuned already can't be fine-tuned again here; name its base"
    else:
        why = "GET /v1/models lists the bases; start the server with --models NAME=BASE to add one"
    return RequestError(
        f"Model {model} is not available for fine-tuning: {why}", param="model", code="model_not_available"
    )


def _require_files(connection: Connection, asked: Mapping[str, Any]) -> int:
    """How many rows are trained on."""
    count = 0
    for param in ("training_file", "validation_file"):
        if asked[param] is None:
            continue
        row = files.row_of(connection, asked[param], param)
        if row["purpose"] != "fine-tune":
            raise RequestError(
                f"{param} {asked[param]} was uploaded with purpose {row['purpose']}; fine-tune is needed", param=param
            )
        if row["kind"] != asked["method"]:
            raise RequestError(f"{param} {asked[param]} holds no rows for the method {asked['method']}", param=param)
        if param == "training_file":
            count = row["rows"]
    if count < LEAST_ROWS:
        raise RequestError(
            f"{asked['training_file']} has {count} example(s), but must have at least {LEAST_ROWS} examples",
            param="training_file",
            code="invalid_n_examples",
        )
    return count


def _require_room(connection: Connection, queue: int) -> None:
    waiting = connection.execute(select(func.count()).select_from(jobs).where(jobs.c.status.in_(ACTIVE))).scalar() or 0
    if waiting >= queue:
        raise RequestError(
            f"{waiting} jobs wait or run already, and the queue holds {queue}; try again when one is over",
            429,
            type="requests",
            code="rate_limit_exceeded",
            headers={"retry-after": "60", **FINAL},
        )


def row_of(connection: Connection, job_id: str) -> RowMapping:
    """The job's row.

    Raises:
        Fault: there is no such job.
    """
    row = connection.execute(select(jobs).where(jobs.c.id == job_id)).mappings().first()
    if row is None:
        raise missing("fine-tuning job", job_id, "fine_tuning_job_id")
    return row


def get(database: Database, job_id: str) -> dict[str, Any]:
    """The job's object."""
    with database.read() as connection:
        return describe(row_of(connection, job_id))


def listing(
    database: Database, after: str | None, limit: int, metadata: Mapping[str, str] | None, bare: bool = False
) -> dict[str, Any]:
    """A page of jobs, newest first: those whose metadata has all of ``metadata``, or none at all where ``bare``."""
    wanted = [_has(name, value) for name, value in (metadata or {}).items()]
    if bare:
        wanted.append(~exists().where(pairs.c.job == jobs.c.number))
    with database.read() as connection:
        rows, more = page(connection, jobs, wanted, after, limit)
    return {"object": "list", "data": [describe(row) for row in rows], "has_more": more}


def _has(name: str, value: str) -> Any:
    return exists().where(pairs.c.job == jobs.c.number, pairs.c.name == name, pairs.c.value == value)


def move(connection: Connection, job_id: str, come_from: Sequence[str], **values: Any) -> bool:
    """Set ``values`` (a status among them, mostly) where the job's status is one of ``come_from``; whether it was."""
    query = jobs.update().where(jobs.c.id == job_id, jobs.c.status.in_(come_from)).values(**values)
    return bool(connection.execute(query).rowcount)


def cancel(database: Database, job_id: str) -> dict[str, Any]:
    """End the job; one that is cancelled already stays so.

    Raises:
        Fault: it is over.
    """
    with database.write() as connection:
        if move(
            connection, job_id, (*ACTIVE, "paused"), status="cancelled", finished_at=now_s(), estimated_finish=None
        ):
            add_event(connection, job_id, "cancelled", "The job was cancelled")
        return _in_status(connection, job_id, ("cancelled",), "cancelled")


def pause(database: Database, job_id: str) -> dict[str, Any]:
    """Let the job wait until it is resumed; its trainer ends, and its last resume point is kept.

    Raises:
        Fault: it is over.
    """
    with database.write() as connection:
        if move(connection, job_id, ACTIVE, status="paused", estimated_finish=None):
            add_event(connection, job_id, fresh_id("paused-", 8), "The job was paused")
        return _in_status(connection, job_id, ("paused",), "paused")


def resume(database: Database, job_id: str) -> dict[str, Any]:
    """Let a paused job go on, in its old place of the queue.

    Raises:
        Fault: it is over.
    """
    with database.write() as connection:
        if move(connection, job_id, ("paused",), status="queued"):
            add_event(connection, job_id, fresh_id("resumed-", 8), "The job was resumed")
        return _in_status(connection, job_id, ACTIVE, "resumed")


def _in_status(connection: Connection, job_id: str, wanted: Sequence[str], done: str) -> dict[str, Any]:
    row = row_of(connection, job_id)
    if row["status"] not in wanted:
        raise RequestError(f"{job_id} can't be {done}: it has {row['status']} already", code="invalid_status")
    return describe(row)


# Events and checkpoints


def add_event(
    connection: Connection, job_id: str, mark: str, message: str, level: str = "info", data: Any = None
) -> None:  # fmt: skip
    """Add an event; one with this ``mark`` is there once, however often it is told."""
    known = select(events.c.number).where(events.c.job_id == job_id, events.c.mark == mark)
    if connection.execute(known).scalar() is None:
        row = {"id": fresh_id("ftevent-"), "job_id": job_id, "mark": mark, "created_at": now_s(), "level": level}
        connection.execute(events.insert().values(message=message, data=data, **row))


def event_listing(database: Database, job_id: str, after: str | None, limit: int) -> dict[str, Any]:
    """A page of the job's events, newest first."""
    with database.read() as connection:
        row_of(connection, job_id)
        rows, more = page(connection, events, [events.c.job_id == job_id], after, limit)
    return {"object": "list", "data": [_describe_event(row) for row in rows], "has_more": more}


def _describe_event(row: RowMapping) -> dict[str, Any]:
    shown = {name: row[name] for name in ("id", "created_at", "level", "message", "data")}
    return {"object": "fine_tuning.job.event", **shown, "type": "metrics" if row["data"] else "message"}


def checkpoint_listing(database: Database, job_id: str, after: str | None, limit: int) -> dict[str, Any]:
    """A page of the job's checkpoints, newest first."""
    with database.read() as connection:
        row_of(connection, job_id)
        rows, more = page(connection, checkpoints, [checkpoints.c.job_id == job_id], after, limit)
    return files.paged([_describe_checkpoint(row) for row in rows], more)


def _describe_checkpoint(row: RowMapping) -> dict[str, Any]:
    return {
        "object": "fine_tuning.job.checkpoint",
        "id": row["id"],
        "created_at": row["created_at"],
        "fine_tuned_model_checkpoint": row["model"],
        "fine_tuning_job_id": row["job_id"],
        "metrics": row["metrics"],
        "step_number": row["step"],
    }


def describe(row: Any) -> dict[str, Any]:
    """OpenAI's object of a job."""
    shown = ("id", "model", "created_at", "finished_at", "status", "training_file", "validation_file", "trained_tokens",
             "error", "seed", "estimated_finish", "integrations")  # fmt: skip
    done = row["status"] == "succeeded"
    return {
        "object": "fine_tuning.job",
        **{name: row[name] for name in shown},
        "fine_tuned_model": row["result"] if done else None,
        "organization_id": "org-local",
        "result_files": [row["result_file"]] if row["result_file"] else [],
        "hyperparameters": row["hyperparameters"],
        "user_provided_suffix": row["suffix"],
        "method": {"type": row["method"], row["method"]: {"hyperparameters": row["hyperparameters"]}},
        "metadata": row["pairs"] or None,
        "usage_metrics": None,
        "shared_with_openai": False,
    }
