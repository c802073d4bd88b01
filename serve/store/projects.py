"""Projects: whose files, jobs, batches, responses and models a request sees. There is one by default.

The caller of a request is kept in a context variable, which threads and tasks begun for it inherit. Outside of
requests, as in the processes that train, there is none, and everything is seen.
"""

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Table, select

from serve.errors import missing
from serve.store.tables import permissions, projects

DEFAULT = "default"
ALL = "*"


@dataclass(frozen=True)
class Caller:
    """Who sent a request: the project and the name of its key."""

    project: str
    key: str


CALLER: ContextVar[Caller | None] = ContextVar("caller", default=None)


def current() -> str:
    """The project of the request that is handled now; the default one outside of requests."""
    caller = CALLER.get()
    return caller.project if caller else DEFAULT


def owned(table: Table) -> list[ColumnElement[bool]]:
    """The conditions for rows of ``table`` that the request that is handled now may see."""
    caller = CALLER.get()
    return [table.c.project == caller.project] if caller else []


def owned_row(
    connection: Connection,
    table: Table,
    id: str,
    kind: str,
    param: str,
    wanted: Sequence[ColumnElement[bool]] = (),
    locked: bool = False,
) -> RowMapping:
    """The row of ``table`` with this id that meets all conditions ``wanted`` and that the request may see.

    Args:
        kind: what it is, and ``param``, where the id was given, in the error.
        locked: no other transaction changes the row until this one, which writes, has ended.

    Raises:
        RequestError: there is no such row.
    """
    query = select(table).where(table.c.id == id, *owned(table), *wanted)
    found = connection.execute(query.with_for_update() if locked else query).mappings().first()
    if found is None:
        raise missing(kind, id, param)
    return found


def settings_of(connection: Connection, project: str) -> Mapping[str, Any]:
    """``budget`` (limits by kind) and ``readable`` (names of registered models, or ``ALL``) of a project."""
    found = connection.execute(select(projects).where(projects.c.name == project)).mappings().first()
    return {"name": project, "budget": {}, "readable": [ALL]} if found is None else {**found}


def change(connection: Connection, project: str, values: Mapping[str, Any]) -> None:
    """Set ``budget`` or ``readable`` of a project."""
    merged = {**settings_of(connection, project), **values}
    if connection.execute(projects.update().where(projects.c.name == project).values(merged)).rowcount == 0:
        connection.execute(projects.insert().values(merged))


def sees(connection: Connection, name: str, tags: Mapping[str, str], openai_id: str | None) -> bool:
    """Whether the request that is handled now may use the version of the registered model ``name`` with ``tags``.

    A version that a job or a client of the server made is its project's own, and readable where a permission of the
    checkpoint says so; others are readable as the project's settings say.
    """
    caller = CALLER.get()
    if caller is None:
        return True
    if openai_id:
        permitted = select(permissions.c.id).where(
            permissions.c.checkpoint == openai_id, permissions.c.project_id == caller.project
        )
        return tags.get("project", DEFAULT) == caller.project or connection.execute(permitted).first() is not None
    readable = settings_of(connection, caller.project)["readable"]
    return ALL in readable or name in readable
