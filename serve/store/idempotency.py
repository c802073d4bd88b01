"""Idempotency keys: a request that is sent again with the key of an earlier one makes nothing more."""

from sqlalchemy import Connection, select

from serve.errors import conflict
from serve.store.database import now_s
from serve.store.tables import promises


def kept(connection: Connection, route: str, key: str, digest: str) -> str | None:
    """The id of what the request with this ``key`` made before; None where there was none, or ``key`` is empty.

    Raises:
        Fault: the earlier request was another one.
    """
    if not key:
        return None
    query = select(promises).where(promises.c.route == route, promises.c.key == key)
    found = connection.execute(query).mappings().first()
    if found is None:
        return None
    if found["digest"] != digest:
        raise conflict("This Idempotency-Key came with another request before; use a new one", code="idempotency_error")
    return found["object_id"]


def keep(connection: Connection, route: str, key: str, digest: str, object_id: str) -> None:
    """Note what the request with this ``key`` has made, in the same transaction."""
    if key:
        row = {"route": route, "key": key, "digest": digest, "object_id": object_id, "created_at": now_s()}
        connection.execute(promises.insert().values(row))
