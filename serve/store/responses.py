"""Responses that were stored, each with its whole conversation, so that another response can go on from it."""

from typing import Any

from sqlalchemy import RowMapping

from serve.errors import missing
from serve.store.database import Database, now_s
from serve.store.projects import current, owned, owned_row
from serve.store.tables import responses

KEPT_S = 30 * 24 * 3600  # OpenAI's


def add(database: Database, response: dict[str, Any], messages: Any) -> None:
    """Store the object ``response``; ``messages``, (role, text), end with its answer."""
    values = {"id": response["id"], "created_at": now_s(), "object": response, "messages": [*map(list, messages)],
              "project": current()}  # fmt: skip
    with database.write() as connection:
        connection.execute(responses.insert().values(values))


def get(database: Database, response_id: str) -> dict[str, Any]:
    """The response's object.

    Raises:
        RequestError: there is no such response.
    """
    return _row(database, response_id, "response_id")["object"]


def conversation(
    database: Database, response_id: str, param: str = "previous_response_id"
) -> tuple[tuple[str, str], ...]:
    """The (role, text) messages up to the answer of the response, without instructions.

    Raises:
        RequestError: there is no such response.
    """
    return tuple((role, text) for role, text in _row(database, response_id, param)["messages"])


def _row(database: Database, response_id: str, param: str) -> RowMapping:
    with database.read() as connection:
        return owned_row(connection, responses, response_id, "response", param)


def delete(database: Database, response_id: str) -> dict[str, Any]:
    """Remove the response; those that went on from it keep their conversations.

    Raises:
        RequestError: there is no such response.
    """
    with database.write() as connection:
        if not connection.execute(responses.delete().where(responses.c.id == response_id, *owned(responses))).rowcount:
            raise missing("response", response_id, "response_id")
    return {"id": response_id, "object": "response", "deleted": True}


def delete_expired(database: Database) -> None:
    """Remove responses that are older than ``KEPT_S`` seconds."""
    with database.write() as connection:
        connection.execute(responses.delete().where(responses.c.created_at < now_s() - KEPT_S))
