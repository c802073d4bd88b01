"""The audit log: one line for each change, written in the transaction that makes it."""

from typing import Any

from sqlalchemy import Connection

from serve.ids import fresh_id
from serve.store.database import Database, now_s, page, paged
from serve.store.projects import CALLER, DEFAULT, owned
from serve.store.tables import audit

COMMAND_LINE = "(command line)"


def record(connection: Connection, action: str, object_id: str, project: str = "") -> None:
    """Add that ``action`` (such as ``file.created``) was done to ``object_id``, by the key of the request.

    Outside of requests it was done by the command line, for ``project``.
    """
    caller = CALLER.get()
    who = caller.key if caller else COMMAND_LINE
    where = caller.project if caller else project or DEFAULT
    row = {"id": fresh_id("audit_log-"), "created_at": now_s(), "project": where, "key": who}
    connection.execute(audit.insert().values({**row, "action": action, "object_id": object_id}))


def listing(database: Database, after: str | None, limit: int) -> dict[str, Any]:
    """A page of the lines of the request's project, newest first."""
    with database.read() as connection:
        rows, more = page(connection, audit, owned(audit), after, limit)
    return paged([_describe(row) for row in rows], more)


def _describe(row: Any) -> dict[str, Any]:
    """OpenAI's object of an audit log, as far as it is known."""
    return {
        "object": "organization.audit_log",
        "id": row["id"],
        "type": row["action"],
        "effective_at": row["created_at"],
        "project": {"id": row["project"], "name": row["project"]},
        "actor": {"type": "api_key", "api_key": {"id": row["key"], "type": "user"}},
        row["action"]: {"id": row["object_id"]},
    }
