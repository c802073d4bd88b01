"""Which projects may use a checkpoint: written down and told, as OpenAI does.

A server is one organisation without projects, where every key may use every model. A permission opens nothing here; it
is kept so that programs which share checkpoints find what they wrote.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select

from serve.errors import missing
from serve.ids import fresh_id
from serve.store import files
from serve.store.database import Database, now_s, page
from serve.store.tables import checkpoints, permissions


def create(database: Database, checkpoint: str, projects: Sequence[str]) -> dict[str, Any]:
    """The permissions of ``projects``, each made unless it is there.

    Raises:
        Fault: no job has made this checkpoint.
    """
    with database.write() as connection:
        _require(connection, checkpoint)
        found = [_made(connection, checkpoint, project) for project in dict.fromkeys(projects)]
    return files.paged(found, False)


def listing(
    database: Database, checkpoint: str, project: str | None, after: str | None, limit: int, newest_first: bool
) -> dict[str, Any]:
    """A page of the checkpoint's permissions, of all projects or of one.

    Raises:
        Fault: no job has made this checkpoint.
    """
    wanted = [permissions.c.checkpoint == checkpoint, *([permissions.c.project_id == project] if project else [])]
    with database.read() as connection:
        _require(connection, checkpoint)
        rows, more = page(connection, permissions, wanted, after, limit, newest_first)
    return files.paged([_describe(row) for row in rows], more)


def delete(database: Database, checkpoint: str, permission_id: str) -> dict[str, Any]:
    """Take a permission back.

    Raises:
        Fault: there is none.
    """
    mine = (permissions.c.checkpoint == checkpoint, permissions.c.id == permission_id)
    with database.write() as connection:
        if not connection.execute(permissions.delete().where(*mine)).rowcount:
            raise missing("checkpoint permission", permission_id, "permission_id")
    return {"object": "checkpoint.permission", "id": permission_id, "deleted": True}


def _require(connection: Connection, checkpoint: str) -> None:
    if connection.execute(select(checkpoints.c.id).where(checkpoints.c.model == checkpoint)).scalar() is None:
        raise missing("fine-tuned model checkpoint", checkpoint, "fine_tuned_model_checkpoint")


def _made(connection: Connection, checkpoint: str, project: str) -> dict[str, Any]:
    there = select(permissions).where(permissions.c.checkpoint == checkpoint, permissions.c.project_id == project)
    row = connection.execute(there).mappings().first()
    if row is None:
        values = {"checkpoint": checkpoint, "project_id": project, "created_at": now_s()}
        connection.execute(permissions.insert().values(id=fresh_id("cp_"), **values))
        row = connection.execute(there).mappings().one()
    return _describe(row)


def _describe(row: Any) -> dict[str, Any]:
    shown = ("id", "created_at", "project_id")
    return {"object": "checkpoint.permission", **{name: row[name] for name in shown}}
