"""Batches: made, listed, cancelled, and written down line by line as they are answered."""

import json
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, RowMapping, func, select

from serve.errors import RequestError, missing
from serve.ids import fresh_id
from serve.store import files
from serve.store.batch_input import ENDPOINT
from serve.store.database import Database, now_s, page
from serve.store.tables import answers, batches
from serve.store.tables import files as file_table

WINDOWS = {"24h": 24 * 3600}
MOST_BYTES = 200 * 2**20
TIMES = ("created_at", "in_progress_at", "expires_at", "finalizing_at", "completed_at", "failed_at", "expired_at",
         "cancelling_at", "cancelled_at")  # fmt: skip
OPEN = ("validating", "in_progress", "finalizing", "cancelling")


def create(database: Database, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Make a batch.

    Raises:
        Fault: the endpoint, the window or the file is none that a batch can have.
    """
    if asked["endpoint"] != ENDPOINT:
        raise RequestError(
            f"endpoint {asked['endpoint'][:60]!r}: only {ENDPOINT} can be asked in batches", param="endpoint"
        )
    made_s = now_s()
    with database.write() as connection:
        file = files.row_of(connection, asked["input_file_id"], "input_file_id")
        if file["purpose"] != "batch":
            raise RequestError(
                f"{file['id']} was uploaded with purpose {file['purpose']}; batch is needed", param="input_file_id"
            )
        if file["bytes"] > MOST_BYTES:
            raise RequestError(f"{file['id']} has more than {MOST_BYTES >> 20} MB", param="input_file_id")
        row = {
            "id": fresh_id("batch_"), "input_file_id": file["id"], "endpoint": asked["endpoint"],
            "completion_window": asked["completion_window"], "status": "validating", "total": 0,
            "times": {"created_at": made_s, "expires_at": made_s + WINDOWS[asked["completion_window"]]},
            "pairs": asked["metadata"], "output_expires_s": asked["output_expires_s"],
        }  # fmt: skip
        connection.execute(batches.insert().values(row))
        return _described(connection, row["id"])


def row_of(connection: Connection, batch_id: str) -> RowMapping:
    """The batch's row.

    Raises:
        Fault: there is no such batch.
    """
    row = connection.execute(select(batches).where(batches.c.id == batch_id)).mappings().first()
    if row is None:
        raise missing("batch", batch_id, "batch_id")
    return row


def get(database: Database, batch_id: str) -> dict[str, Any]:
    """The batch's object."""
    with database.read() as connection:
        return _described(connection, batch_id)


def listing(database: Database, after: str | None, limit: int) -> dict[str, Any]:
    """A page of batches, newest first."""
    with database.read() as connection:
        rows, more = page(connection, batches, (), after, limit)
        return files.paged([_describe(connection, row) for row in rows], more)


def cancel(database: Database, batch_id: str) -> dict[str, Any]:
    """Answer no more of it; what is answered can be had.

    Raises:
        Fault: it is over.
    """
    with database.write() as connection:
        row = row_of(connection, batch_id)
        if row["status"] in ("validating", "in_progress"):
            move(connection, row, "cancelling")
        elif row["status"] not in ("cancelling", "cancelled"):
            raise RequestError(f"{batch_id} can't be cancelled: it is {row['status']}", code="invalid_status")
        return _described(connection, batch_id)


def move(connection: Connection, row: Any, status: str, **values: Any) -> bool:
    """Give the batch a new status, with its time, unless it has another one by now than ``row`` says."""
    times = {**row["times"], f"{status}_at": now_s()}
    query = batches.update().where(batches.c.id == row["id"], batches.c.status == row["status"])
    return bool(connection.execute(query.values(status=status, times=times, **values)).rowcount)


def next_open(database: Database) -> dict[str, Any] | None:
    """The oldest batch that is not over."""
    query = select(batches).where(batches.c.status.in_(OPEN)).order_by(batches.c.number).limit(1)
    with database.read() as connection:
        row = connection.execute(query).mappings().first()
        return dict(row) if row else None


def answered(database: Database, batch_id: str) -> set[int]:
    """Numbers of the lines that are answered."""
    with database.read() as connection:
        return set(connection.execute(select(answers.c.line).where(answers.c.batch_id == batch_id)).scalars())


def keep_answers(database: Database, batch_id: str, found: list[tuple[int, bool, dict[str, Any]]]) -> None:
    """Write down (line, whether it is good, record) of answered lines."""
    with database.write() as connection:
        for line, good, record in found:
            connection.execute(answers.insert().values(batch_id=batch_id, line=line, good=int(good), record=record))


def finish(database: Database, row: Mapping[str, Any], status: str) -> None:
    """Write the output and the error file, and end the batch as ``status``."""
    made = {}
    for name, good in (("output_file_id", 1), ("error_file_id", 0)):
        with tempfile.TemporaryFile(prefix="parley-batch-") as out:
            for record in _records(database, row["id"], good):
                out.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
            if out.tell():
                out.seek(0)
                made[name] = files.add_parts(database, out)
    with database.write() as connection:
        for name, (file_id, size) in made.items():
            filename = f"{row['id']}_{name.partition('_')[0]}.jsonl"
            connection.execute(file_table.insert().values(
                files.row(file_id, filename, "batch_output", size, row["output_expires_s"])
            ))  # fmt: skip
        move(connection, row, status, **{name: file_id for name, (file_id, _) in made.items()})
        connection.execute(answers.update().where(answers.c.batch_id == row["id"]).values(record={}))


def _records(database: Database, batch_id: str, good: int) -> Iterator[Any]:
    line = 0
    while True:
        query = select(answers.c.line, answers.c.record)
        query = query.where(answers.c.batch_id == batch_id, answers.c.good == good, answers.c.line > line)
        with database.read() as connection:
            found = connection.execute(query.order_by(answers.c.line).limit(500)).all()
        if not found:
            return
        yield from (record for _, record in found)
        line = found[-1][0]


def _described(connection: Connection, batch_id: str) -> dict[str, Any]:
    return _describe(connection, row_of(connection, batch_id))


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
