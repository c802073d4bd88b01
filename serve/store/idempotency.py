"""Idempotency keys: a request that is repeated with its key creates nothing, and gets the object of the first."""

import hashlib

from sqlalchemy import Connection, select

from serve.errors import conflict
from serve.store.database import now_s
from serve.store.projects import DEFAULT, current
from serve.store.tables import idempotency_keys


def find(connection: Connection, route: str, key: str, digest: str) -> str | None:
    """The id of the object that an earlier request with this ``key`` created; None without one, or without a key.

    Args:
        route: keys of different routes are different.
        digest: of the request.

    Raises:
        RequestError: 409, the earlier request was not the same.
    """
    if not key:
        return None
    query = select(idempotency_keys).where(idempotency_keys.c.route == route, idempotency_keys.c.key == _stored(key))
    found = connection.execute(query).mappings().first()
    if found is None:
        return None
    if found["digest"] != digest:
        raise conflict(
            "This Idempotency-Key was used for another request before; use a new one", code="idempotency_error"
        )
    return found["object_id"]


def record(connection: Connection, route: str, key: str, digest: str, object_id: str) -> None:
    """Record, in the transaction that creates the object, which one the request with this ``key`` has created."""
    if key:
        row = {"route": route, "key": _stored(key), "digest": digest, "object_id": object_id, "created_at": now_s()}
        connection.execute(idempotency_keys.insert().values(row))


def _stored(key: str) -> str:
    """The key as it is stored: keys of different projects are different."""
    project = current()
    return key if project == DEFAULT else hashlib.sha256(f"{project} {key}".encode()).hexdigest()
