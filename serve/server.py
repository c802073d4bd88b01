"""Starts and stops the server."""

import asyncio
import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from data.errors import UserError
from data.processes import collect_as_usual
from inference.loading import positions
from inference.threads import set_threads
from registry import runs
from serve.app import build
from serve.config import ServeConfig
from serve.engine.engine import Engine, Request
from serve.engine.resolver import PLAIN
from serve.http.auth import OWNER_KEY_NAME, Authenticator
from serve.http.budgets import Budgets
from serve.http.metrics import Metrics
from serve.http.rate_limits import RateLimits
from serve.model_catalog import ModelCatalog
from serve.model_names import ModelNames
from serve.state import ServerState
from serve.store import files, jobs
from serve.store.database import Database, now_s
from serve.training.supervisor import Supervisor
from serve.training.tinker_sessions import TinkerSessions
from train import base_model

GIB = 1 << 30
SHUTDOWN_S = 5.0  # for responses in progress to end


def open_server(config: ServeConfig, outputs: Path) -> None:
    """Serve until the process is asked to stop; prints the address when it answers.

    Args:
        outputs: folder of what interrupted runs need to be continued.

    Raises:
        UserError: the port is taken, the database can't be opened, or another server runs its jobs.
    """
    database = Database(config.database)
    with _exclusive(database, config, outputs), _listening(config) as listener:
        files.delete_partial(database)
        _serve(config, database, outputs, listener)


@contextmanager
def _exclusive(database: Database, config: ServeConfig, outputs: Path) -> Iterator[None]:
    """Hold the lock of the one server on this database: two would both train its jobs."""
    folder = outputs / "serve"
    folder.mkdir(parents=True, exist_ok=True)
    if database.is_sqlite:
        path = Path(config.database.removeprefix("sqlite:///"))
        lock = path.with_name(path.name + ".lock").open("w")
    else:
        lock = (folder / "server.lock").open("w")
    with lock, database.owned() as owned:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owned = False
        if not owned:
            raise UserError("database: another server runs the jobs of this one; stop it, or name another database")
        yield


@contextmanager
def _listening(config: ServeConfig) -> Iterator[socket.socket]:
    """The socket, bound before anything slow happens."""
    with socket.socket(socket.AF_INET6 if ":" in config.host else socket.AF_INET) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((config.host, config.port))
        except OSError as error:
            reason = error.strerror or str(error)
            raise UserError(f"port {config.port} of {config.host} can't be had ({reason}); name another one") from error
        yield listener


def make_state(config: ServeConfig, database: Database, outputs: Path) -> ServerState:
    """All parts of the server; the engine's thread runs from here on."""
    set_threads(config.chat_threads)
    names = ModelNames(_base(config.base_model), config.table())
    engine = Engine(
        lambda name: base_model.resolve(name).folder,
        int(config.memory_gb * GIB),
        base_model.pick_device(),
        config.chats,
        config.load,
    )
    return ServerState(
        config=config,
        database=database,
        authenticator=Authenticator(database, os.environ.get(OWNER_KEY_NAME, "")),
        limits=RateLimits(config.requests_per_minute, config.tokens_per_minute),
        budgets=Budgets(database),
        names=names,
        catalog=ModelCatalog(names, now_s(), database),
        engine=engine,
        supervisor=Supervisor(database, config, outputs),
        metrics=Metrics(engine.stats, lambda: jobs.count_by_status(database)),
        tinker=TinkerSessions(config, names, engine, outputs),
    )


def _base(wanted: str) -> str:
    """The name of the base that ``wanted`` is now; it is printed with its positions.

    Raises:
        UserError: it can't be had.
    """
    found = base_model.resolve(wanted)
    why = f" ({found.reason})" if wanted == "auto" else ""
    print(f"Base model: {found.name}, {positions(found.folder)} positions{why}", flush=True)
    return found.name


def _serve(config: ServeConfig, database: Database, outputs: Path, listener: socket.socket) -> None:
    problem = runs.open_store()
    if problem:
        print(f"The tracking server is unavailable ({problem}). Jobs wait for it.", flush=True)
    state = make_state(config, database, outputs)
    settings = uvicorn.Config(
        build(state), log_level="warning", access_log=False, lifespan="on", server_header=False,
        timeout_graceful_shutdown=int(SHUTDOWN_S),
    )  # fmt: skip
    server = _Server(settings, state)
    key = state.authenticator.first_key()
    if key:
        print(f"The first key, shown this once: {key}", flush=True)
    state.supervisor.start()
    try:
        asyncio.run(server.serve([listener]))
    finally:
        state.supervisor.close()
        state.tinker.close()
        state.budgets.flush()
        state.engine.close()
        database.close()


async def _warm_up(state: ServerState) -> None:
    """Import and load what the first answer needs before it is requested."""
    request = Request(PLAIN + state.names.base_model, (("user", "Hello."),), max_tokens=1)
    with contextlib.suppress(UserError):  # the request that meets the error again reports it
        async for _ in await state.engine.generate(request):
            pass


class _Server(uvicorn.Server):
    """Prints the address once it answers, and closes the engine at the shutdown: streams then end with an error."""

    def __init__(self, config: uvicorn.Config, state: ServerState) -> None:
        super().__init__(config)
        self.state = state

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            collect_as_usual()
            self._warm = asyncio.create_task(_warm_up(self.state))
            host, port = sockets[0].getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            print(f"Parley server: http://{shown}:{port}/v1\nCtrl-C stops it.", flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await asyncio.to_thread(self.state.engine.close)
        await super().shutdown(sockets)
