"""The parts of one server, made together and closed together."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request
from sqlalchemy import func, select

from serve.clerk import Clerk
from serve.config import ServeConfig
from serve.database import Database
from serve.foreman import Foreman
from serve.keys import Doorkeeper
from serve.limits import Limits
from serve.measures import Measures
from serve.models import Shelf
from serve.names import Names
from serve.tables import jobs


@dataclass
class House:
    """Everything that routes need. ``engine`` is a ``serve.chat.Asked``; ``chatting`` counts chats on their way."""

    config: ServeConfig
    database: Database
    doorkeeper: Doorkeeper
    limits: Limits
    names: Names
    shelf: Shelf
    engine: Any
    foreman: Foreman
    measures: Measures
    clerk: Clerk | None = None
    chatting: int = 0


def house_of(request: Request) -> House:
    """The house that the request has come to."""
    return request.app.state.house


Here = Annotated[House, Depends(house_of)]


def jobs_by_status(database: Database) -> dict[str, int]:
    """How many jobs there are of each status."""
    with database.read() as connection:
        query = select(jobs.c.status, func.count()).group_by(jobs.c.status)
        return {status: count for status, count in connection.execute(query).all()}
