"""The pages beside the API, for which no key is needed: health check, metrics, and the list of routes."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from data.html import render
from serve.state import State

TEMPLATE = Path(__file__).with_name("templates") / "api.html"

router = APIRouter(include_in_schema=False)


@router.get("/healthz")
def healthz(state: State) -> dict[str, str]:
    """Whether the server answers and reaches its database."""
    with state.database.read() as connection:
        connection.exec_driver_sql("SELECT 1")
    return {"status": "ok"}


@router.get("/health")
def health(state: State) -> Response:
    """As ``/healthz``; vLLM's name of it."""
    healthz(state)
    return Response()


@router.get("/version")
def version(request: Request) -> dict[str, str]:
    """The version of this API."""
    return {"version": request.app.version}


@router.get("/metrics")
def metrics(state: State) -> Response:
    """The metrics, for Prometheus."""
    return Response(state.metrics.page(), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/")
@router.get("/docs")
def docs(request: Request) -> HTMLResponse:
    """The API for people to read."""
    return HTMLResponse(api_page(request.app.openapi()))


def api_page(schema: Mapping[str, Any]) -> str:
    """An OpenAPI ``schema`` as HTML that loads nothing: every route, its description, its parameters and types."""
    schemas = schema.get("components", {}).get("schemas", {})
    types = {name: json.dumps(each.get("properties", {}), indent=1) for name, each in schemas.items()}
    return render(TEMPLATE, info=schema["info"], routes=list(_routes(schema)), types=types)


def _routes(schema: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(method and path, description, parameters and types of the body) of each route."""
    for path, methods in schema["paths"].items():
        for method, route in methods.items():
            parameters = [parameter["name"] for parameter in route.get("parameters", ())]
            bodies = route.get("requestBody", {}).get("content", {}).values()
            types = [body["schema"].get("$ref", "form").rpartition("/")[2] for body in bodies]
            yield f"{method.upper()} {path}", route.get("description", ""), ", ".join([*parameters, *types])
