"""Permissions of projects to use a checkpoint, recorded as OpenAI does.

The model of a checkpoint belongs to the project of its job; a permission lets another project use it too.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select

from serve.errors import missing
from serve.ids import fresh_id
from serve.store import audit
from serve.store.database import Database, now_s, page, paged
from serve.store.projects import owned
from serve.store.tables import checkpoints, jobs, permissions


def create(database: Database, checkpoint: str, projects: Sequence[str]) -> dict[str, Any]:
    """Create the permissions of ``projects`` that are not there yet; returns all of them.

    Raises:
        RequestError: no job has created this checkpoint.
    """
    with database.write() as connection:
        _require_checkpoint(connection, checkpoint)
        audit.record(connection, "checkpoint.permission.created", checkpoint)
        created = [_find_or_create(connection, checkpoint, project) for project in dict.fromkeys(projects)]
    return paged(created, False)


def listing(
    database: Database, checkpoint: str, project: str | None, after: str | None, limit: int, newest_first: bool
) -> dict[str, Any]:
    """A page of the checkpoint's permissions, of all projects or of one.

    Raises:
        RequestError: no job has created this checkpoint.
    """
    wanted = [permissions.c.checkpoint == checkpoint, *([permissions.c.project_id == project] if project else [])]
    with database.read() as connection:
        _require_checkpoint(connection, checkpoint)
        rows, more = page(connection, permissions, wanted, after, limit, newest_first)
    return paged([_describe(row) for row in rows], more)


def delete(database: Database, checkpoint: str, permission_id: str) -> dict[str, Any]:
    """Delete a permission.

    Raises:
        RequestError: there is no such permission.
    """
    condition = (permissions.c.checkpoint == checkpoint, permissions.c.id == permission_id)
    with database.write() as connection:
        _require_checkpoint(connection, checkpoint)
        audit.record(connection, "checkpoint.permission.deleted", permission_id)
        if not connection.execute(permissions.delete().where(*condition)).rowcount:
            raise missing("checkpoint permission", permission_id, "permission_id")
    return {"object": "checkpoint.permission", "id": permission_id, "deleted": True}


def _require_checkpoint(connection: Connection, checkpoint: str) -> None:
    query = select(checkpoints.c.id).join(jobs, jobs.c.id == checkpoints.c.job_id)
    if connection.execute(query.where(checkpoints.c.model == checkpoint, *owned(jobs))).scalar() is None:
        raise missing("fine-tuned model checkpoint", checkpoint, "fine_tuned_model_checkpoint")


def _find_or_create(connection: Connection, checkpoint: str, project: str) -> dict[str, Any]:
    query = select(permissions).where(permissions.c.checkpoint == checkpoint, permissions.c.project_id == project)
    row = connection.execute(query).mappings().first()
    if row is None:
        values = {"checkpoint": checkpoint, "project_id": project, "created_at": now_s()}
        connection.execute(permissions.insert().values(id=fresh_id("cp_"), **values))
        row = connection.execute(query).mappings().one()
    return _describe(row)


def _describe(row: Any) -> dict[str, Any]:
    shown = ("id", "created_at", "project_id")
    return {"object": "checkpoint.permission", **{name: row[name] for name in shown}}
