"""The parts of one server, which routes get by the dependency ``State``."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from serve.batch_worker import BatchWorker
from serve.config import ServeConfig
from serve.http.answers import ChatEngine
from serve.http.auth import Authenticator
from serve.http.budgets import Budgets
from serve.http.metrics import Metrics
from serve.http.rate_limits import RateLimits
from serve.model_catalog import ModelCatalog
from serve.model_names import ModelNames
from serve.store.database import Database
from serve.training.supervisor import Supervisor
from serve.training.tinker_sessions import TinkerSessions


@dataclass
class ServerState:
    """Everything that routes need; ``active_chats`` counts the chat completions in progress, but for those of batches.

    The batch worker runs in the event loop and is made there.
    """

    config: ServeConfig
    database: Database
    authenticator: Authenticator
    limits: RateLimits
    budgets: Budgets
    names: ModelNames
    catalog: ModelCatalog
    engine: ChatEngine
    supervisor: Supervisor
    metrics: Metrics
    tinker: TinkerSessions
    batch_worker: BatchWorker | None = None
    active_chats: int = 0


def state_of(request: Request) -> ServerState:
    """The state of the server that got the request."""
    return request.app.state.server


State = Annotated[ServerState, Depends(state_of)]
