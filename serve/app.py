"""The application: routes, errors in one envelope, and what starts and ends with it."""

import asyncio
import html
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from serve.batch_worker import BatchWorker
from serve.errors import RequestError
from serve.http.middleware import ServerMiddleware
from serve.http.schemas import fault_of_validation
from serve.routes import batches, chat, graders, jobs, models, permissions
from serve.routes import files as file_routes
from serve.state import ServerState
from serve.store import files

SWEEP_S = 60.0
ERROR = {
    "description": "Refused, in OpenAI's envelope",
    "content": {"application/json": {"schema": {"type": "object", "properties": {"error": {"type": "object"}}}}},
}


def build(house: ServerState) -> FastAPI:
    """The application of ``house``; its foreman and clerk begin when it starts."""
    middleware = Middleware(
        ServerMiddleware, config=house.config, authenticator=house.doorkeeper, limits=house.limits,
        metrics=house.measures,
    )  # fmt: skip
    app = FastAPI(
        title="Parley",
        description="Files, fine-tuning jobs, models, chats and batches, in OpenAI's language.",
        version="1",
        middleware=[middleware],
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        responses={"4XX": ERROR},
    )
    app.state.house = house
    for each in (file_routes, jobs, permissions, graders, models, chat, batches):
        app.include_router(each.router)
    _add_pages(app, house)
    app.add_exception_handler(RequestError, _on_fault)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(OperationalError, _on_busy)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    house: ServerState = app.state.house
    house.clerk = BatchWorker(
        house.database,
        lambda body: chat.answer_one(house, body),
        house.config.batch_rows,
        lambda: house.chatting > 0,
    )
    house.clerk.start()
    sweeper = asyncio.create_task(_sweep(house))
    yield
    sweeper.cancel()
    await house.clerk.close()


async def _sweep(house: ServerState) -> None:
    while True:
        await asyncio.sleep(SWEEP_S)
        await asyncio.to_thread(files.sweep, house.database)


def _add_pages(app: FastAPI, house: ServerState) -> None:
    """The pages beside the interface: whether it works, figures, and what there is. No key is needed for them."""

    @app.get("/healthz", include_in_schema=False)
    def healthz() -> dict[str, str]:
        with house.database.read() as connection:
            connection.exec_driver_sql("SELECT 1")
        return {"status": "ok"}

    @app.get("/metrics", include_in_schema=False)
    def metrics() -> Response:
        return Response(house.measures.page(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/", include_in_schema=False)
    @app.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return HTMLResponse(page_of(app.openapi()))


def page_of(schema: Mapping[str, Any]) -> str:
    """``openapi.json`` as a page that needs no other server: every route, what it does and what it takes."""
    rows = []
    for path, methods in schema["paths"].items():
        for method, route in methods.items():
            taken = ", ".join(p["name"] for p in route.get("parameters", ()))
            bodies = route.get("requestBody", {}).get("content", {})
            shapes = [body["schema"].get("$ref", "form").rpartition("/")[2] for body in bodies.values()]
            cells = (
                f"{method.upper()} {path}",
                route.get("description", ""),
                ", ".join(filter(None, [taken, *shapes])),
            )
            rows.append("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>")
    shapes = "".join(
        f"<h2>{html.escape(name)}</h2><pre>{html.escape(json.dumps(shape.get('properties', {}), indent=1))}</pre>"
        for name, shape in schema.get("components", {}).get("schemas", {}).items()
    )
    return f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Parley</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>:root {{ color-scheme: light dark }} body {{ font: 16px/1.5 system-ui; max-width: 70rem; margin: 2rem auto;
padding: 0 1rem }} td {{ padding: .3rem .8rem .3rem 0; vertical-align: top }} pre {{ overflow-x: auto }}</style>
<h1>{html.escape(schema["info"]["title"])}</h1><p>{html.escape(schema["info"]["description"])}
The same for programs: <a href="/openapi.json">openapi.json</a>.</p><table>{"".join(rows)}</table>{shapes}</html>"""


def _answer(fault: RequestError) -> JSONResponse:
    return JSONResponse(fault.envelope(), fault.status, fault.headers)


def _on_fault(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return _answer(error)


def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return _answer(fault_of_validation(error.errors()))


def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        fault = RequestError(f"Invalid URL ({request.method} {request.url.path})", 404, code="unknown_url")
    elif error.status_code == 405:
        fault = RequestError(
            f"Not allowed to {request.method} on {request.url.path}", 405, headers=dict(error.headers or {})
        )
    else:
        fault = RequestError(str(error.detail), error.status_code, headers=dict(error.headers or {}))
    return _answer(fault)


def _on_busy(request: Request, error: Exception) -> Response:
    return _answer(RequestError("The database is busy or away; try again.", 503, type="server_error",
                         headers={"retry-after": "1"}))  # fmt: skip
