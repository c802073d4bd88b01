"""``/v1/chat/completions``."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from serve.errors import RequestError
from serve.http import chat_completions
from serve.http.chat_completions import ChatCompletion
from serve.http.chat_schema import ChatRequest
from serve.http.rate_limits import Allowance
from serve.http.schemas import validation_error
from serve.state import ServerState, State

CLIENT_CLOSED_REQUEST = 499

router = APIRouter(prefix="/v1/chat/completions", tags=["chat"])


@router.post("", response_model=None)
async def create(request: Request, state: State, body: ChatRequest) -> Response:
    """Generate the answer to a conversation; with ``stream`` as server-sent events."""
    body.require_supported()
    _require_room(state)
    started_s = time.perf_counter()
    allowance: Allowance = request.scope["allowance"]
    estimate = chat_completions.estimate_tokens(body)
    allowance.take_tokens(estimate)
    state.active_chats += 1
    completion = None

    def on_end() -> None:
        state.active_chats -= 1
        allowance.correct_tokens(estimate, completion.tokens if completion else 0)

    try:
        completion = await _begin(state, body)
    except BaseException:
        on_end()
        raise
    if body.stream:
        events = _timed(chat_completions.stream(completion, on_end), state.metrics.first_token_s.observe, started_s)
        return StreamingResponse(events, media_type="text/event-stream", headers={"cache-control": "no-cache"})
    try:
        found = await _unless_disconnected(request, completion)
    finally:
        on_end()
    return Response(status_code=CLIENT_CLOSED_REQUEST) if found is None else JSONResponse(found)


def _require_room(state: ServerState) -> None:
    if state.engine.stats()["waiting"] >= state.config.chat_queue:
        raise RequestError(
            "Too many chat completions wait already; try again in a moment.",
            429,
            type="requests",
            code="rate_limit_exceeded",
            headers={"retry-after": "1"},
        )


async def _begin(state: ServerState, body: ChatRequest) -> ChatCompletion:
    reference = await run_in_threadpool(state.catalog.reference, body.model)
    return await chat_completions.begin(state.engine, body, reference)


async def _unless_disconnected(request: Request, completion: ChatCompletion) -> dict[str, Any] | None:
    """The whole completion; None, and it is stopped, where the client disconnects before."""

    async def disconnect() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    work = asyncio.ensure_future(chat_completions.complete(completion))
    gone = asyncio.ensure_future(disconnect())
    try:
        await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        return work.result() if work.done() else None
    finally:
        for task in (work, gone):
            task.cancel()
        await asyncio.gather(work, gone, return_exceptions=True)
        completion.close()


async def _timed(
    events: AsyncGenerator[str, None], observe: Callable[[float], None], started_s: float
) -> AsyncIterator[str]:
    """``events``; the seconds from ``started_s`` to the first that holds text are given to ``observe``."""
    is_observed = False
    async with aclosing(events):
        async for event in events:
            if not is_observed and '"content": "' in event and '"content": ""' not in event:
                observe(time.perf_counter() - started_s)
                is_observed = True
            yield event


async def complete_one(state: ServerState, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    """Answer one request of a batch: (HTTP status, body of the response)."""
    try:
        try:
            request = ChatRequest.model_validate(body)
        except ValidationError as error:
            raise validation_error(error.errors()) from error
        request.require_supported()
        return 200, await chat_completions.complete(await _begin(state, request))
    except RequestError as error:
        return error.status, error.envelope()
