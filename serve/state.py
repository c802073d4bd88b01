"""The parts of one server, made together and closed together."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request

from serve.batch_worker import BatchWorker
from serve.config import ServeConfig
from serve.http.auth import Authenticator
from serve.http.metrics import Metrics
from serve.http.rate_limits import RateLimits
from serve.model_catalog import ModelCatalog
from serve.model_names import ModelNames
from serve.store.database import Database
from serve.training.supervisor import Supervisor


@dataclass
class ServerState:
    """Everything that routes need.

    ``engine`` is a ``serve.http.chat_completions.ChatEngine``; ``chatting`` counts chats on their way.
    """

    config: ServeConfig
    database: Database
    doorkeeper: Authenticator
    limits: RateLimits
    names: ModelNames
    shelf: ModelCatalog
    engine: Any
    foreman: Supervisor
    measures: Metrics
    clerk: BatchWorker | None = None
    chatting: int = 0


def state_of(request: Request) -> ServerState:
    """The house that the request has come to."""
    return request.app.state.house


Here = Annotated[ServerState, Depends(state_of)]
