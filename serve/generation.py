"""One request that generates text, whole or as a stream: what its route does before, during and after it."""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.concurrency import run_in_threadpool

from serve.errors import RequestError
from serve.http.answers import Generation, GenerationRequest, close_all, reported
from serve.http.rate_limits import Allowance
from serve.state import ServerState

CLIENT_CLOSED_REQUEST = 499
_TEXT = re.compile(r'"(content|text|delta)": "[^"]')


async def respond(
    request: Request, state: ServerState, body: GenerationRequest, begin: Callable[[str], Awaitable[Generation]]
) -> Response:
    """The response to ``body``; with ``stream`` as server-sent events.

    Args:
        begin: begins to generate it, from the engine's name of the model.

    Raises:
        RequestError: it is not supported, too many wait, or it failed.
    """
    body.require_supported()
    _require_room(state)
    started_s = time.perf_counter()
    allowance: Allowance = request.scope["allowance"]
    estimate = body.estimated_tokens()
    allowance.take_tokens(estimate)
    state.active_chats += 1
    generation = None

    def on_end() -> None:
        state.active_chats -= 1
        allowance.correct_tokens(estimate, generation.tokens if generation else 0)

    try:
        generation = await begin(await run_in_threadpool(state.catalog.reference, body.model))
    except BaseException:
        on_end()
        raise
    if body.stream:
        events = _timed(reported(generation, body.model), state.metrics.first_token_s.observe, started_s, on_end)
        return StreamingResponse(events, media_type="text/event-stream", headers={"cache-control": "no-cache"})
    try:
        found = await _unless_disconnected(request, generation)
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


async def _unless_disconnected(request: Request, generation: Generation) -> dict[str, Any] | None:
    """The whole object; None, and it is stopped, where the client disconnects before."""

    async def disconnect() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    work = asyncio.ensure_future(generation.complete())
    gone = asyncio.ensure_future(disconnect())
    try:
        await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        return work.result() if work.done() else None
    finally:
        for task in (work, gone):
            task.cancel()
        await asyncio.gather(work, gone, return_exceptions=True)
        close_all(generation.answers)


async def _timed(
    events: AsyncGenerator[str, None], observe: Callable[[float], None], started_s: float, on_end: Callable[[], None]
) -> AsyncIterator[str]:
    """``events``; the seconds from ``started_s`` to the first that holds text are given to ``observe``.

    ``on_end`` is called when they have ended, were left or have failed.
    """
    is_observed = False
    try:
        async with aclosing(events):
            async for event in events:
                if not is_observed and _TEXT.search(event):
                    observe(time.perf_counter() - started_s)
                    is_observed = True
                yield event
    finally:
        on_end()
