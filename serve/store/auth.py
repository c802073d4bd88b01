"""API keys in the database, as digests."""

import hashlib
import secrets
from collections.abc import Mapping
from typing import Any

from sqlalchemy.exc import IntegrityError

from data.errors import UserError
from serve.store import audit, projects
from serve.store.database import Database, now_s
from serve.store.tables import keys


def new_key(database: Database, name: str, project: str = projects.DEFAULT) -> str:
    """Create a key called ``name`` of ``project`` and return it; only its digest is stored.

    Raises:
        UserError: the name is taken.
    """
    key = f"sk-parley-{secrets.token_urlsafe(32)}"
    try:
        with database.write() as connection:
            row = {"name": name, "digest": digest_of(key), "created_at": now_s(), "project": project}
            connection.execute(keys.insert().values(row))
            audit.record(connection, "api_key.created", name, project)
    except IntegrityError as error:
        raise UserError(f"new_key: there is a key called {name} already; name another one, or drop that one") from error
    return key


def drop_key(database: Database, name: str) -> None:
    """Delete the key called ``name``.

    Raises:
        UserError: there is no such key.
    """
    with database.write() as connection:
        if not connection.execute(keys.delete().where(keys.c.name == name)).rowcount:
            raise UserError(f"drop_key: there is no key called {name}")
        audit.record(connection, "api_key.deleted", name)


def change_access(url: str, create: str, drop: str, project: str, settings: Mapping[str, Any]) -> None:
    """Create and print the key called ``create``, delete the one called ``drop``; empty texts name none.

    Args:
        project: of the new key, and the one whose ``settings`` (``budget``, ``readable``) are changed.

    Raises:
        UserError: the one name is taken, the other is not there, or the database at ``url`` can't be opened.
    """
    database = Database(url)
    if create:
        print(new_key(database, create, project or projects.DEFAULT))
    if drop:
        drop_key(database, drop)
    if settings:
        with database.write() as connection:
            projects.change(connection, project, settings)
            audit.record(connection, "project.updated", project, project)
    database.close()


def digest_of(key: str) -> str:
    """SHA-256 of the key, in hexadecimal digits."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
