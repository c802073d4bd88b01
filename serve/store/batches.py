"""Batches: created, listed, moved from status to status by the events of ``TRANSITIONS``, and their responses."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, RowMapping, func, select

from serve.errors import RequestError
from serve.ids import fresh_id
from serve.store import audit, files
from serve.store.batch_input import ENDPOINT
from serve.store.database import Database, now_s, page, paged
from serve.store.projects import current, owned, owned_row
from serve.store.tables import BATCH_OPEN, answers, batches
from serve.store.tables import files as file_table
from serve.store.transitions import Transition

KIND = ("batch", "batch_id")  # what errors call a batch, and its id
WINDOWS_S = {"24h": 24 * 3600}
MAX_BYTES = 200 * 2**20
READ_ROWS = 500  # responses that are read from the database at once
TIMES = ("created_at", "in_progress_at", "expires_at", "finalizing_at", "completed_at", "failed_at", "expired_at",
         "cancelling_at", "cancelled_at")  # fmt: skip
#: What can happen to a batch, by event. One that has expired is finalized as well: its answered requests have output.
TRANSITIONS: Mapping[str, Transition] = {
    "validated": Transition(("validating",), "in_progress"),
    "failed": Transition(("validating",), "failed"),
    "finalized": Transition(("in_progress",), "finalizing"),
    "completed": Transition(("finalizing",), "completed"),
    "expired": Transition(("finalizing",), "expired"),
    "cancel_requested": Transition(("validating", "in_progress"), "cancelling", ("cancelling", "cancelled")),
    "cancelled": Transition(("cancelling",), "cancelled"),
}


def create(database: Database, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Create a batch; ``fields`` are the checked fields of the request.

    Raises:
        RequestError: the endpoint is not supported, or the file was uploaded for another purpose or is too large.
    """
    if fields["endpoint"] != ENDPOINT:
        raise RequestError(
            f"endpoint {fields['endpoint'][:60]!r}: only {ENDPOINT} can be called in batches", param="endpoint"
        )
    created_s = now_s()
    with database.write() as connection:
        file = files.row_of(connection, fields["input_file_id"], "input_file_id")
        if file["purpose"] != "batch":
            raise RequestError(
                f"{file['id']} was uploaded with purpose {file['purpose']}; batch is needed", param="input_file_id"
            )
        if file["bytes"] > MAX_BYTES:
            raise RequestError(f"{file['id']} has more than {MAX_BYTES >> 20} MB", param="input_file_id")
        row = {
            "id": fresh_id("batch_"), "input_file_id": file["id"], "endpoint": fields["endpoint"],
            "completion_window": fields["completion_window"], "status": "validating", "total": 0,
            "times": {"created_at": created_s, "expires_at": created_s + WINDOWS_S[fields["completion_window"]]},
            "pairs": fields["metadata"], "output_expires_s": fields["output_expires_s"],
            "project": current(),
        }  # fmt: skip
        connection.execute(batches.insert().values(row))
        audit.record(connection, "batch.created", row["id"])
        return _describe(connection, row_of(connection, row["id"]))


# Status changes


def begin(database: Database, batch_id: str, total: int) -> bool:
    """Begin to answer the batch, whose file holds ``total`` valid requests."""
    return _change(database, batch_id, "validated", total=total)


def fail(database: Database, batch_id: str, errors: Sequence[Mapping[str, Any]]) -> bool:
    """End a batch whose file is invalid; ``errors`` as OpenAI lists them (code, line, message, param)."""
    return _change(database, batch_id, "failed", errors=errors)


def finalize(database: Database, batch_id: str, expired: bool) -> bool:
    """Stop answering: each request has a response, or the error that its time is over where the batch ``expired``."""
    with database.write() as connection:
        times = {"expired_at": now_s()} if expired else {}
        return _apply(connection, _locked(connection, batch_id), "finalized", times)


def cancel(database: Database, batch_id: str) -> dict[str, Any]:
    """Stop answering the batch; responses that it has are written to its output file.

    Raises:
        RequestError: there is no such batch, or it has ended otherwise.
    """
    with database.write() as connection:
        row = _locked(connection, batch_id)
        if not _apply(connection, row, "cancel_requested"):
            raise RequestError(f"{batch_id} can't be cancelled: it is {row['status']}", code="invalid_status")
        audit.record(connection, "batch.cancelled", batch_id)
        return _describe(connection, row_of(connection, batch_id))


def finish(database: Database, row: Mapping[str, Any]) -> bool:
    """Write the output file and the error file of a batch that is finalizing or cancelling, and end it."""
    if row["status"] == "cancelling":
        event = "cancelled"
    else:
        event = "expired" if row["times"].get("expired_at") else "completed"
    stored = {}
    for name, good in (("output_file_id", 1), ("error_file_id", 0)):
        with tempfile.TemporaryFile(prefix="parley-batch-") as out:
            for record in _records(database, row["id"], good):
                out.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
            if out.tell():
                out.seek(0)
                stored[name] = files.add_parts(database, out)
    with database.write() as connection:
        file_ids = {name: file_id for name, (file_id, _) in stored.items()}
        if not _apply(connection, _locked(connection, row["id"]), event, **file_ids):
            return False
        for name, (file_id, size) in stored.items():
            filename = f"{row['id']}_{name.partition('_')[0]}.jsonl"
            connection.execute(file_table.insert().values(
                files.row(file_id, filename, "batch_output", size, row["output_expires_s"], project=row["project"])
            ))  # fmt: skip
        connection.execute(answers.update().where(answers.c.batch_id == row["id"]).values(record={}))
    return True


def _change(database: Database, batch_id: str, event: str, **values: Any) -> bool:
    with database.write() as connection:
        return _apply(connection, _locked(connection, batch_id), event, **values)


def _apply(
    connection: Connection, row: RowMapping, event: str, more_times: Mapping[str, int] = MappingProxyType({}),
    **values: Any,
) -> bool:  # fmt: skip
    """Write the status after ``event``, its time, ``more_times`` and ``values``; ``row`` is locked by this transaction.

    Returns:
        False, and nothing is written, where the batch's status does not allow the event.
    """
    status = TRANSITIONS[event].next_status(row["status"])
    if status is not None and status != row["status"]:
        times = {**row["times"], **more_times, f"{status}_at": now_s()}
        query = batches.update().where(batches.c.id == row["id"])
        connection.execute(query.values(status=status, times=times, **values))
    return status is not None


def _locked(connection: Connection, batch_id: str) -> RowMapping:
    """The batch's row, which no other transaction changes until this one, which writes, has ended."""
    return owned_row(connection, batches, batch_id, *KIND, locked=True)


# Queries


def row_of(connection: Connection, batch_id: str) -> RowMapping:
    """The batch's row.

    Raises:
        RequestError: there is no such batch.
    """
    return owned_row(connection, batches, batch_id, *KIND)


def get(database: Database, batch_id: str) -> dict[str, Any]:
    """The batch's object."""
    with database.read() as connection:
        return _describe(connection, row_of(connection, batch_id))


def status_of(database: Database, batch_id: str) -> str:
    """The batch's status."""
    with database.read() as connection:
        return row_of(connection, batch_id)["status"]


def listing(database: Database, after: str | None, limit: int) -> dict[str, Any]:
    """A page of batches, newest first."""
    with database.read() as connection:
        rows, more = page(connection, batches, owned(batches), after, limit)
        return paged([_describe(connection, row) for row in rows], more)


def next_open(database: Database) -> dict[str, Any] | None:
    """The row of the oldest batch that has not ended."""
    query = select(batches).where(batches.c.status.in_(BATCH_OPEN)).order_by(batches.c.number).limit(1)
    with database.read() as connection:
        row = connection.execute(query).mappings().first()
        return dict(row) if row else None


def answered_lines(database: Database, batch_id: str) -> set[int]:
    """Line numbers of the requests that have a response."""
    with database.read() as connection:
        return set(connection.execute(select(answers.c.line).where(answers.c.batch_id == batch_id)).scalars())


def add_responses(database: Database, batch_id: str, responses: Sequence[tuple[int, bool, Mapping[str, Any]]]) -> None:
    """Store (line number, whether it is a success, the line of the output or error file) of answered requests."""
    with database.write() as connection:
        for line, good, record in responses:
            connection.execute(answers.insert().values(batch_id=batch_id, line=line, good=int(good), record=record))


def _records(database: Database, batch_id: str, good: int) -> Iterator[Any]:
    line = 0
    while True:
        query = select(answers.c.line, answers.c.record)
        query = query.where(answers.c.batch_id == batch_id, answers.c.good == good, answers.c.line > line)
        with database.read() as connection:
            found = connection.execute(query.order_by(answers.c.line).limit(READ_ROWS)).all()
        if not found:
            return
        yield from (record for _, record in found)
        line = found[-1][0]


def _describe(connection: Connection, row: RowMapping) -> dict[str, Any]:
    """OpenAI's object of a batch."""
    query = select(answers.c.good, func.count()).where(answers.c.batch_id == row["id"]).group_by(answers.c.good)
    counts = {good: count for good, count in connection.execute(query).all()}
    shown = ("id", "endpoint", "input_file_id", "completion_window", "status", "output_file_id", "error_file_id")
    return {
        "object": "batch",
        "model": None,
        **{name: row[name] for name in shown},
        "errors": {"object": "list", "data": row["errors"]} if row["errors"] else None,
        **{name: row["times"].get(name) for name in TIMES},
        "request_counts": {"total": row["total"], "completed": counts.get(1, 0), "failed": counts.get(0, 0)},
        "usage": None,
        "metadata": row["pairs"],
    }
