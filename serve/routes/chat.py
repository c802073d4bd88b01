"""``/v1/chat/completions``."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.concurrency import run_in_threadpool

from serve.errors import RequestError
from serve.http import chat_completions
from serve.http.chat_schema import ChatRequest
from serve.http.rate_limits import Allowance
from serve.http.schemas import fault_of_validation
from serve.state import Here, ServerState

CLIENT_IS_GONE = 499

router = APIRouter(prefix="/v1/chat/completions", tags=["chat"])


@router.post("", response_model=None)
async def create(request: Request, here: Here, asked: ChatRequest) -> Response:
    """Answer a conversation, whole or (``stream``) as it is written."""
    asked.require_sound()
    _require_room(here)
    began_s = time.perf_counter()
    allowance: Allowance = request.scope["allowance"]
    estimate = chat_completions.estimated_tokens(asked)
    allowance.take_tokens(estimate)
    here.chatting += 1
    found = None

    def over() -> None:
        here.chatting -= 1
        allowance.correct_tokens(estimate, found.tokens if found else 0)

    try:
        reference = await run_in_threadpool(here.shelf.reference, asked.model)
        found = await chat_completions.begin(here.engine, asked, reference)
    except BaseException:
        over()
        raise
    if asked.stream:
        events = _timed(chat_completions.stream(found, over), here, began_s)
        return StreamingResponse(events, media_type="text/event-stream", headers={"cache-control": "no-cache"})
    try:
        body = await _unless_gone(request, found)
    finally:
        over()
    return Response(status_code=CLIENT_IS_GONE) if body is None else JSONResponse(body)


def _require_room(here: ServerState) -> None:
    if here.engine.stats()["waiting"] >= here.config.chat_queue:
        raise RequestError(
            "Too many answers wait already; try again in a moment.",
            429,
            type="requests",
            code="rate_limit_exceeded",
            headers={"retry-after": "1"},
        )


async def _unless_gone(request: Request, found: chat_completions.Chat) -> dict[str, Any] | None:
    """The whole completion; None where the client has gone meanwhile, and nobody needs it."""

    async def leave() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    work, gone = asyncio.ensure_future(chat_completions.whole(found)), asyncio.ensure_future(leave())
    try:
        await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        return work.result() if work.done() else None
    finally:
        for task in (work, gone):
            task.cancel()
        await asyncio.gather(work, gone, return_exceptions=True)
        found.close()


async def _timed(events: AsyncIterator[str], here: ServerState, began_s: float) -> AsyncIterator[str]:
    """``events``, with the time to the first text measured."""
    told = False
    try:
        async for event in events:
            if not told and '"content": "' in event and '"content": ""' not in event:
                here.measures.first_token_s.observe(time.perf_counter() - began_s)
                told = True
            yield event
    finally:
        await events.aclose()  # type: ignore[attr-defined]


async def answer_one(here: ServerState, body: Any) -> tuple[int, dict[str, Any]]:
    """What a line of a batch is answered with: (HTTP status, body)."""
    from pydantic import ValidationError

    try:
        try:
            asked = ChatRequest.model_validate(body)
        except ValidationError as error:
            raise fault_of_validation(error.errors()) from error
        asked.require_sound()
        reference = await run_in_threadpool(here.shelf.reference, asked.model)
        return 200, await chat_completions.whole(await chat_completions.begin(here.engine, asked, reference))
    except RequestError as fault:
        return fault.status, fault.envelope()
