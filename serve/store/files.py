"""Files in the database, in parts, so that no file is in memory as a whole."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection, RowMapping, or_, select

from serve.errors import conflict
from serve.ids import fresh_id
from serve.store import audit, idempotency
from serve.store.database import Database, now_s, page, paged
from serve.store.projects import current, owned, owned_row
from serve.store.tables import BATCH_FINISHED, FINISHED, batches, files, jobs, parts
from serve.store.training_file import NOT_CHECKED, Checked, plain_name

PART_BYTES = 1 << 20
ROUTE = "files"


def add(
    database: Database, content: IO[bytes], filename: str, purpose: str, expires_after_s: int | None = None,
    checked: Checked = NOT_CHECKED, key: str = "",
) -> dict[str, Any]:  # fmt: skip
    """Store ``content``; returns the file's object, or that of the first request with this idempotency ``key``.

    Raises:
        RequestError: an earlier request with the key had another file.
    """
    file_id = fresh_id("file-")
    try:
        size, digest = _write_parts(database, file_id, content)
        values = row(file_id, filename, purpose, size, expires_after_s, checked)
        request_digest = hashlib.sha256(f"{digest} {purpose} {filename} {expires_after_s}".encode()).hexdigest()
        with database.write() as connection:
            earlier = idempotency.find(connection, ROUTE, key, request_digest)
            if earlier is None:
                connection.execute(files.insert().values(values))
                audit.record(connection, "file.created", file_id)
                idempotency.record(connection, ROUTE, key, request_digest, file_id)
    except BaseException:
        _drop_parts(database, file_id)
        raise
    if earlier is not None:
        _drop_parts(database, file_id)
        return get(database, earlier)
    return describe(values)


def row(
    file_id: str, filename: str, purpose: str, size: int, expires_after_s: int | None = None,
    checked: Checked = NOT_CHECKED, project: str = "",
) -> dict[str, Any]:  # fmt: skip
    """The row of a file that is created now and, if ``expires_after_s`` is given, expires so many seconds later.

    It belongs to ``project``, or to that of the request.
    """
    created_s = now_s()
    return {
        "id": file_id, "purpose": purpose, "filename": filename, "bytes": size, "rows": checked.rows,
        "kind": checked.kind, "created_at": created_s,
        "expires_at": created_s + expires_after_s if expires_after_s else None, "project": project or current(),
    }  # fmt: skip


def add_parts(database: Database, content: IO[bytes]) -> tuple[str, int]:
    """Store the parts of a file whose row is inserted later; returns its id and its size in bytes."""
    file_id = fresh_id("file-")
    return file_id, _write_parts(database, file_id, content)[0]


def add_small(connection: Connection, content: bytes, filename: str, purpose: str, project: str) -> str:
    """Store ``content`` for ``project`` within a transaction that does other things, too; returns the id."""
    file_id = fresh_id("file-")
    for number, start in enumerate(range(0, len(content), PART_BYTES)):
        connection.execute(
            parts.insert().values(file_id=file_id, part=number, content=content[start : start + PART_BYTES])
        )
    connection.execute(files.insert().values(row(file_id, filename, purpose, len(content), project=project)))
    return file_id


def _write_parts(database: Database, file_id: str, content: IO[bytes]) -> tuple[int, str]:
    digest, size, number = hashlib.sha256(), 0, 0
    while part := content.read(PART_BYTES):
        digest.update(part)
        size += len(part)
        with database.write() as connection:
            connection.execute(parts.insert().values(file_id=file_id, part=number, content=part))
        number += 1
    return size, digest.hexdigest()


def _drop_parts(database: Database, file_id: str) -> None:
    with database.write() as connection:
        connection.execute(parts.delete().where(parts.c.file_id == file_id))


def row_of(connection: Connection, file_id: str, param: str = "file_id") -> RowMapping:
    """The file's row.

    Raises:
        RequestError: there is no such file, or it has expired.
    """
    return owned_row(connection, files, file_id, "File object", param, [_not_expired()])


def get(database: Database, file_id: str) -> dict[str, Any]:
    """The file's object."""
    with database.read() as connection:
        return describe(row_of(connection, file_id))


def listing(
    database: Database, purpose: str | None, after: str | None, limit: int, newest_first: bool
) -> dict[str, Any]:
    """A page of files."""
    wanted = [_not_expired(), *owned(files), *([files.c.purpose == purpose] if purpose else [])]
    with database.read() as connection:
        rows, more = page(connection, files, wanted, after, limit, newest_first)
    return paged([describe(each) for each in rows], more)


def read(database: Database, file_id: str) -> Iterator[bytes]:
    """The content, part by part; that of a file that is deleted meanwhile ends early."""
    number = 0
    while True:
        with database.read() as connection:
            query = select(parts.c.content).where(parts.c.file_id == file_id, parts.c.part == number)
            part = connection.execute(query).scalar()
        if part is None:
            return
        yield part
        number += 1


def save(database: Database, file_id: str, path: Path) -> Path:
    """Write the content to ``path``."""
    with path.open("wb") as out:
        for part in read(database, file_id):
            out.write(part)
    return path


def save_in(database: Database, file_id: str, folder: Path) -> Path:
    """Write a training file into ``folder`` under its own name, which messages about its rows then have.

    Raises:
        RequestError: there is no such file, or it has expired.
    """
    with database.read() as connection:
        name = row_of(connection, file_id)["filename"]
    return save(database, file_id, folder / plain_name(name))


def delete(database: Database, file_id: str) -> dict[str, Any]:
    """Remove the file.

    Raises:
        RequestError: there is no such file, or a job or batch that has not ended uses it.
    """
    with database.write() as connection:
        row_of(connection, file_id)
        user = _user_of(connection, file_id)
        if user:
            raise conflict(
                f"{file_id} is used by {user}, which has not ended; cancel that first", "file_id", "file_in_use"
            )
        _remove(connection, [file_id])
        audit.record(connection, "file.deleted", file_id)
    return {"id": file_id, "object": "file", "deleted": True}


def _user_of(connection: Connection, file_id: str) -> str | None:
    of_job = or_(jobs.c.training_file == file_id, jobs.c.validation_file == file_id)
    job = connection.execute(select(jobs.c.id).where(of_job, jobs.c.status.not_in(FINISHED))).scalar()
    batch = select(batches.c.id).where(batches.c.input_file_id == file_id, batches.c.status.not_in(BATCH_FINISHED))
    return job or connection.execute(batch).scalar()


def delete_expired(database: Database) -> None:
    """Remove files that have expired, but for those that a job or batch uses."""
    with database.write() as connection:
        expired = connection.execute(select(files.c.id).where(files.c.expires_at <= now_s())).scalars()
        _remove(connection, [each for each in expired if not _user_of(connection, each)])


def delete_partial(database: Database) -> None:
    """Remove the parts of uploads that were interrupted; only while there are no uploads."""
    with database.write() as connection:
        connection.execute(parts.delete().where(parts.c.file_id.not_in(select(files.c.id))))


def _remove(connection: Connection, file_ids: list[str]) -> None:
    connection.execute(files.delete().where(files.c.id.in_(file_ids)))
    connection.execute(parts.delete().where(parts.c.file_id.in_(file_ids)))


def _not_expired() -> Any:
    return or_(files.c.expires_at.is_(None), files.c.expires_at > now_s())


def describe(found: Any) -> dict[str, Any]:
    """OpenAI's object of a file."""
    shown = ("id", "bytes", "created_at", "expires_at", "filename", "purpose")
    return {"object": "file", **{name: found[name] for name in shown}, "status": "processed", "status_details": None}
