"""``/v1/chat/completions``."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from serve.errors import RequestError
from serve.generation import respond
from serve.http import chat_completions
from serve.http.chat_schema import ChatRequest
from serve.http.schemas import validation_error
from serve.state import ServerState, State
from serve.store import projects

router = APIRouter(prefix="/v1/chat/completions", tags=["chat"])


@router.post("", response_model=None)
async def create(request: Request, state: State, body: ChatRequest) -> Response:
    """Generate the answer to a conversation; with ``stream`` as server-sent events."""
    return await respond(request, state, body, partial(chat_completions.begin, state.engine, body))


async def complete_one(state: ServerState, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    """Answer one request of a batch: (HTTP status, body of the response)."""
    try:
        try:
            request = ChatRequest.model_validate(body)
        except ValidationError as error:
            raise validation_error(error.errors()) from error
        request.require_supported()
        project, estimate = projects.current(), request.estimated_tokens()
        await run_in_threadpool(state.budgets.refresh, project)
        state.budgets.take(project, "tokens", estimate)
        used = 0
        try:
            reference = await run_in_threadpool(state.catalog.reference, request.model)
            generation = await chat_completions.begin(state.engine, request, reference)
            found = await generation.complete()
            used = generation.tokens
        finally:
            state.budgets.correct(project, "tokens", estimate, used)
        return 200, found
    except RequestError as error:
        return error.status, error.envelope()
