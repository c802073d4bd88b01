"""Fine-tuning jobs: created, listed, and moved from status to status by the events of ``TRANSITIONS``.

Nothing else writes a job's status. The functions that do (``queue``, ``start``, ``pause``, ``resume``, ``cancel``,
``succeed``, ``fail``) read it, write the next one and add the job event in one transaction that holds a lock on the
row, so that of two processes that change a job at once the second sees what the first has done.
"""

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, exists, func, select

from serve import model_names
from serve.errors import RequestError
from serve.ids import fresh_id
from serve.model_names import ModelNames
from serve.store import audit, checkpoints, files, idempotency, job_checks, job_events
from serve.store.database import Database, now_s, page
from serve.store.hyperparameters import resolve
from serve.store.projects import current, owned, owned_row
from serve.store.tables import ACTIVE, FINISHED, jobs, pairs
from serve.store.transitions import Transition

ROUTE = "jobs"
KIND = ("fine-tuning job", "fine_tuning_job_id")  # what errors call a job, and its id
NO_WARNINGS: Mapping[str, str] = {}
FIRST_STATUS = "validating_files"
#: What can happen to a job, by event. A job that is started again after its process ended is running already.
TRANSITIONS: Mapping[str, Transition] = {
    "validated": Transition((FIRST_STATUS,), "queued", message="Files validated, moving job to queued state"),
    "started": Transition(("queued",), "running", ("running",), "Fine-tuning job started"),
    "paused": Transition(ACTIVE, "paused", ("paused",), "The job was paused", repeats=True),
    "resumed": Transition(("paused",), "queued", ACTIVE, "The job was resumed", repeats=True),
    "cancelled": Transition((*ACTIVE, "paused"), "cancelled", ("cancelled",), "The job was cancelled"),
    "succeeded": Transition(("running",), "succeeded", ("succeeded",), "The job has successfully completed"),
    "failed": Transition(ACTIVE, "failed", message="The job failed: {}"),
}


# Creation


def create(
    database: Database, fields: Mapping[str, Any], known: ModelNames, organization: str, queue_length: int, key: str,
    warnings: Mapping[str, str] = NO_WARNINGS, start: str = "",
) -> str:  # fmt: skip
    """Create the job that ``fields`` (checked fields of the request) describe; returns its id.

    ``warnings``: messages of events that say what of its files is not used, by the events' marks. ``start``: URI of the
    registered version that the model's name means, where it is no base; the job continues from it.

    Raises:
        RequestError: a file or model can't be used, the method is not supported, or the queue is full.
    """
    base = known.base_of(fields["model"]) or start
    if not base:
        raise job_checks.unknown_base(fields["model"])
    digest = hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
    with database.write() as connection:
        earlier = idempotency.find(connection, ROUTE, key, digest)
        if earlier is not None:
            return earlier
        rows = job_checks.require_files(connection, fields)
        job_checks.require_room(connection, queue_length)
        job_id = _insert(connection, fields, base, organization, rows)
        job_events.add_event(connection, job_id, "created", f"Created fine-tuning job: {job_id}")
        validating = f"Validating training file: {fields['training_file']}"
        job_events.add_event(connection, job_id, "validating", validating)
        for mark, message in warnings.items():
            job_events.add_event(connection, job_id, mark, message, "warn")
        idempotency.record(connection, ROUTE, key, digest, job_id)
        audit.record(connection, "job.created", job_id)
    return job_id


def _insert(connection: Connection, fields: Mapping[str, Any], base: str, organization: str, rows: int) -> str:
    """Insert the row of a new job, whose training file has ``rows`` rows, and its metadata; returns its id."""
    job_id, model, suffix = fresh_id("ftjob-"), fields["model"], fields["suffix"]
    inserted = connection.execute(jobs.insert().values(
        id=job_id, created_at=now_s(), model=model, base=base, suffix=suffix,
        seed=secrets.randbelow(2**31) if fields["seed"] is None else fields["seed"], method=fields["method"],
        hyperparameters=resolve(fields["hyperparameters"], rows), training_file=fields["training_file"],
        validation_file=fields["validation_file"], integrations=fields["integrations"],
        pairs=fields["metadata"], status=FIRST_STATUS, step=0, crashes=0, project=current(),
        result=model_names.fine_tuned_name(model, organization, suffix),
        registered=model_names.registered_name(model, suffix),
    ))  # fmt: skip
    assert inserted.inserted_primary_key
    for name, value in fields["metadata"].items():
        connection.execute(pairs.insert().values(job=inserted.inserted_primary_key[0], name=name, value=value))
    return job_id


# Status changes


def queue(database: Database, job_id: str) -> bool:
    """Put a job into the queue; its files were checked line by line when they were uploaded."""
    return _change(database, job_id, "validated")


def start(database: Database, job_id: str) -> dict[str, Any] | None:
    """The row of the job, which is running now, for the process that trains it; None where it may not run."""
    with database.write() as connection:
        started = _apply(connection, _locked(connection, job_id), "started")
        return dict(row_of(connection, job_id)) if started else None


def pause(database: Database, job_id: str) -> dict[str, Any]:
    """Pause the job until it is resumed; its training process ends, and its last resume point is kept.

    Raises:
        RequestError: there is no such job, or it has ended.
    """
    return _request_change(database, job_id, "paused")


def resume(database: Database, job_id: str) -> dict[str, Any]:
    """Put a paused job back into the queue, where it was before.

    Raises:
        RequestError: there is no such job, or it has ended.
    """
    return _request_change(database, job_id, "resumed")


def cancel(database: Database, job_id: str) -> dict[str, Any]:
    """Cancel the job; one that is cancelled already stays so.

    Raises:
        RequestError: there is no such job, or it has ended otherwise.
    """
    return _request_change(database, job_id, "cancelled")


def succeed(database: Database, job_id: str, models: Mapping[int, str], trained_tokens: int) -> bool:
    """End the job with its results: result file, checkpoints and events are visible at once.

    Args:
        models: id of the model of each kept checkpoint, by step; the last one is the fine-tuned model.
        trained_tokens: over all epochs.

    Returns:
        False where the job was paused or cancelled before; nothing is written then.
    """
    with database.write() as connection:
        row = _locked(connection, job_id)
        results = _add_results(connection, row, models) if row["status"] == "running" else {}
        return _apply(connection, row, "succeeded", **results, trained_tokens=trained_tokens)


def _add_results(connection: Connection, row: RowMapping, models: Mapping[int, str]) -> dict[str, Any]:
    metrics = job_events.metrics_by_step(connection, row["id"])
    encoded = base64.b64encode(job_events.result_csv(metrics))  # as OpenAI's is; scripts decode it
    result_file = files.add_small(connection, encoded, "step_metrics.csv", "fine-tune-results", row["project"])
    for step, model in sorted(models.items()):
        values = {name: value for name, value in metrics.get(step, {}).items() if name != "total_steps"}
        checkpoints.add(connection, row["id"], step, model, values)
    job_events.add_event(connection, row["id"], "model", f"New fine-tuned model created: {row['result']}")
    return {"result_file": result_file}


def fail(database: Database, job_id: str, code: str, message: str, param: str | None = None) -> bool:
    """End the job with an error; False, and nothing is written, where it was paused or has ended."""
    error = {"code": code, "message": message, "param": param}
    return _change(database, job_id, "failed", message, error=error)


def _change(database: Database, job_id: str, event: str, reason: str = "", **values: Any) -> bool:
    with database.write() as connection:
        return _apply(connection, _locked(connection, job_id), event, reason, **values)


def _request_change(database: Database, job_id: str, event: str) -> dict[str, Any]:
    """Change the status as a request wants it; returns the job's object.

    Raises:
        RequestError: there is no such job, or its status does not allow it.
    """
    with database.write() as connection:
        row = _locked(connection, job_id)
        if not _apply(connection, row, event):
            raise RequestError(f"{job_id} can't be {event}: it is {row['status']} already", code="invalid_status")
        audit.record(connection, f"job.{event}", job_id)
        return describe(row_of(connection, job_id))


def _apply(connection: Connection, row: RowMapping, event: str, reason: str = "", **values: Any) -> bool:
    """Write the status after ``event``, ``values`` and the job event; ``row`` is locked by this transaction.

    Returns:
        False, and nothing is written, where the job's status does not allow the event.
    """
    transition = TRANSITIONS[event]
    status = transition.next_status(row["status"])
    if status is not None and status != row["status"]:
        ended = {"finished_at": now_s()} if status in FINISHED else {}
        changed = {"status": status, "estimated_finish": None, **ended, **values}
        connection.execute(jobs.update().where(jobs.c.id == row["id"]).values(changed))
        mark = fresh_id(f"{event}-", 8) if transition.repeats else event
        level = "error" if status == "failed" else "info"
        job_events.add_event(connection, row["id"], mark, transition.message.format(reason), level)
    return status is not None


def _locked(connection: Connection, job_id: str) -> RowMapping:
    """The job's row, which no other transaction changes until this one, which writes, has ended."""
    return owned_row(connection, jobs, job_id, *KIND, locked=True)


def update_running(connection: Connection, job_id: str, **values: Any) -> bool:
    """Set columns other than the status of a job that is running; False where it is not."""
    assert "status" not in values
    query = jobs.update().where(jobs.c.id == job_id, jobs.c.status == "running").values(**values)
    return bool(connection.execute(query).rowcount)


# Queries


def row_of(connection: Connection, job_id: str) -> RowMapping:
    """The job's row.

    Raises:
        RequestError: there is no such job.
    """
    return owned_row(connection, jobs, job_id, *KIND)


def with_status(database: Database, *statuses: str) -> list[RowMapping]:
    """Rows of the jobs that have one of ``statuses``, oldest first."""
    query = select(jobs).where(jobs.c.status.in_(statuses)).order_by(jobs.c.number)
    with database.read() as connection:
        return list(connection.execute(query).mappings())


def count_by_status(database: Database) -> dict[str, int]:
    """How many jobs have each status."""
    query = select(jobs.c.status, func.count()).group_by(jobs.c.status)
    with database.read() as connection:
        return {status: count for status, count in connection.execute(query).all()}


def get(database: Database, job_id: str) -> dict[str, Any]:
    """The job's object."""
    with database.read() as connection:
        return describe(row_of(connection, job_id))


def listing(
    database: Database, after: str | None, limit: int, metadata: Mapping[str, str] | None, bare: bool = False
) -> dict[str, Any]:
    """A page of jobs, newest first: those whose metadata has all of ``metadata``, or none at all where ``bare``."""
    wanted = [*owned(jobs), *(_has(name, value) for name, value in (metadata or {}).items())]
    if bare:
        wanted.append(~exists().where(pairs.c.job == jobs.c.number))
    with database.read() as connection:
        rows, more = page(connection, jobs, wanted, after, limit)
    return {"object": "list", "data": [describe(row) for row in rows], "has_more": more}


def _has(name: str, value: str) -> ColumnElement[bool]:
    return exists().where(pairs.c.job == jobs.c.number, pairs.c.name == name, pairs.c.value == value)


def event_listing(database: Database, job_id: str, after: str | None, limit: int) -> dict[str, Any]:
    """A page of the job's events, newest first."""
    with database.read() as connection:
        row_of(connection, job_id)
        return job_events.listing(connection, job_id, after, limit)


def step_metrics(database: Database, job_id: str) -> bytes:
    """The metrics of the job's steps so far as CSV, as its result file holds them in base64."""
    with database.read() as connection:
        row_of(connection, job_id)
        return job_events.result_csv(job_events.metrics_by_step(connection, job_id))


def checkpoint_listing(database: Database, job_id: str, after: str | None, limit: int) -> dict[str, Any]:
    """A page of the job's checkpoints, newest first."""
    with database.read() as connection:
        row_of(connection, job_id)
        return checkpoints.listing(connection, job_id, after, limit)


def describe(row: RowMapping) -> dict[str, Any]:
    """OpenAI's object of a job."""
    shown = ("id", "model", "created_at", "finished_at", "status", "training_file", "validation_file", "trained_tokens",
             "error", "seed", "estimated_finish", "integrations")  # fmt: skip
    return {
        "object": "fine_tuning.job",
        **{name: row[name] for name in shown},
        "fine_tuned_model": row["result"] if row["status"] == "succeeded" else None,
        "organization_id": "org-local",
        "result_files": [row["result_file"]] if row["result_file"] else [],
        "hyperparameters": row["hyperparameters"],
        "user_provided_suffix": row["suffix"],
        "method": {"type": row["method"], row["method"]: {"hyperparameters": row["hyperparameters"]}},
        "metadata": row["pairs"] or None,
        "usage_metrics": None,
        "shared_with_openai": False,
    }
