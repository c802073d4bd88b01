"""The parts of one server, made together and closed together."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request
from sqlalchemy import func, select

from serve.batch_worker import Clerk
from serve.config import ServeConfig
from serve.http.auth import Doorkeeper
from serve.http.metrics import Measures
from serve.http.rate_limits import Limits
from serve.model_catalog import Shelf
from serve.model_names import Names
from serve.store.database import Database
from serve.store.tables import jobs
from serve.training.supervisor import Foreman


@dataclass
class House:
    """Everything that routes need.

    ``engine`` is a ``serve.http.chat_completions.Asked``; ``chatting`` counts chats on their way.
    """

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
