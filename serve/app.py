"""The FastAPI application: middleware, routes, errors in OpenAI's envelope, and the tasks that run beside requests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from serve.batch_worker import BatchWorker
from serve.errors import RequestError
from serve.http.absent import absent
from serve.http.middleware import ServerMiddleware
from serve.http.schemas import validation_error
from serve.routes import ROUTERS, chat
from serve.state import ServerState
from serve.store import files, responses

SWEEP_S = 60.0
ERROR = {
    "description": "An error, in OpenAI's envelope",
    "content": {"application/json": {"schema": {"type": "object", "properties": {"error": {"type": "object"}}}}},
}


def build(state: ServerState) -> FastAPI:
    """The application of ``state``; its batch worker starts and stops with it."""
    middleware = Middleware(
        ServerMiddleware, config=state.config, authenticator=state.authenticator, limits=state.limits,
        budgets=state.budgets, metrics=state.metrics,
    )  # fmt: skip
    app = FastAPI(
        title="Parley",
        description="An OpenAI-compatible API: files, fine-tuning jobs, models, chat completions and batches.",
        version="1",
        middleware=[_cors(state.config.origins()), middleware],
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        responses={"4XX": ERROR},
    )
    app.state.server = state
    for router in ROUTERS:
        app.include_router(router)
    app.add_exception_handler(RequestError, _on_request_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(OperationalError, _on_database_error)
    return app


def _cors(origins: list[str]) -> Middleware:
    """Lets pages of ``origins`` read the answers, errors included; in front of the check of keys, for a browser asks
    by OPTIONS first, without one.
    """
    return Middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["*"],
        expose_headers=["*"],
        max_age=3600,
    )


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    state: ServerState = app.state.server
    state.batch_worker = BatchWorker(
        state.database,
        lambda body: chat.complete_one(state, body),
        state.config.batch_rows,
        lambda: state.active_chats > 0,
    )
    state.batch_worker.start()
    sweeper = asyncio.create_task(_sweep(state))
    yield
    sweeper.cancel()
    await state.batch_worker.close()


async def _sweep(state: ServerState) -> None:
    """Delete expired files and responses, and end idle sessions, once a minute."""
    while True:
        await asyncio.sleep(SWEEP_S)
        for delete_expired in (files.delete_expired, responses.delete_expired):
            await asyncio.to_thread(delete_expired, state.database)
        state.tinker.end_idle()
        await asyncio.to_thread(state.budgets.flush)


def _response(error: RequestError) -> JSONResponse:
    return JSONResponse(error.envelope(), error.status, error.headers)


def _on_request_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return _response(error)


def _on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return _response(validation_error(error.errors()))


def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message, code = str(error.detail), None
    if error.status_code == 404:
        instead = absent(request.url.path)
        message = f"Invalid URL ({request.method} {request.url.path})" + (f": {instead}" if instead else "")
        code = "unknown_url"
    elif error.status_code == 405:
        message = f"Not allowed to {request.method} on {request.url.path}"
    return _response(RequestError(message, error.status_code, code=code, headers=dict(error.headers or {})))


def _on_database_error(request: Request, error: Exception) -> Response:
    message = "The database is busy or unavailable; try again."
    return _response(RequestError(message, 503, type="server_error", headers={"retry-after": "1"}))
