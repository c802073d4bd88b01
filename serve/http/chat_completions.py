"""Chat completions: asked of the engine, answered in OpenAI's words, whole or as a stream."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from registry.runs import TrackingUnavailable
from serve.engine.types import AnswerStream, BadRequest, Broken, Piece, Request, Token, UnknownModel
from serve.errors import RequestError, no_model
from serve.http.chat_schema import ChatRequest
from serve.ids import fresh_id
from serve.model_catalog import away

FINGERPRINT = "fp_parley"
CHARACTERS_A_TOKEN = 4
MOST_ESTIMATED = 4096  # tokens of an answer: a cap far above what any answer takes is no plan to take it


class ChatEngine(Protocol):
    """Whoever answers; ``serve.engine.engine.Engine`` does."""

    async def ask(self, request: Request) -> AnswerStream:
        """The answer to ``request``, which has begun."""
        ...

    def stats(self) -> Mapping[str, float]:
        """Answers ``running`` and ``waiting``, and more."""
        ...

    def close(self) -> None:
        """End everything."""
        ...


@dataclass
class Chat:
    """One completion on its way: as many answers as choices are wanted."""

    asked: ChatRequest
    answers: list[AnswerStream]
    id: str = field(default_factory=lambda: fresh_id("chatcmpl-"))
    created_s: int = field(default_factory=lambda: int(time.time()))

    def close(self) -> None:
        """Want no more of it."""
        for answer in self.answers:
            answer.close()

    @property
    def tokens(self) -> int:
        """Tokens read and written so far."""
        return self.answers[0].prompt_tokens + sum(answer.completion_tokens for answer in self.answers)

    def usage(self) -> dict[str, Any]:
        """OpenAI's account of the tokens."""
        read, written = self.answers[0].prompt_tokens, sum(answer.completion_tokens for answer in self.answers)
        none = {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        }
        return {
            "prompt_tokens": read,
            "completion_tokens": written,
            "total_tokens": read + written,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": none,
        }

    def frame(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        """What every object of this completion begins with."""
        return {
            "id": self.id,
            "object": kind,
            "created": self.created_s,
            "model": self.asked.model,
            "service_tier": "default",
            "system_fingerprint": FINGERPRINT,
            "choices": choices,
        }


async def begin(engine: ChatEngine, asked: ChatRequest, reference: str) -> Chat:
    """Ask the engine.

    Raises:
        Fault: the model is not there, or can't answer this.
    """
    tasks = [asyncio.ensure_future(engine.ask(request)) for request in asked.requests(reference)]
    try:
        return Chat(asked, list(await asyncio.gather(*tasks)))
    except BaseException as error:
        for task in tasks:
            task.cancel()
        for found in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(found, AnswerStream):
                found.close()
        if isinstance(error, Exception):
            raise fault_of(error, asked.model) from error
        raise


def fault_of(error: Exception, model: str) -> Exception:
    """The engine's error as it is told to a client; others stay as they are."""
    if isinstance(error, UnknownModel):
        return no_model(model, str(error))
    if isinstance(error, BadRequest):
        return RequestError(str(error), param=error.param, code=error.code)
    if isinstance(error, TrackingUnavailable):
        return away(error)
    if isinstance(error, Broken):
        return RequestError(str(error), 503, type="server_error", code="model_error")
    return error


async def whole(chat: Chat) -> dict[str, Any]:
    """The completion, once it is all there.

    Raises:
        Fault: an answer broke off.
    """
    try:
        pieces = await asyncio.gather(*(_collect(answer) for answer in chat.answers))
    except Exception as error:
        raise fault_of(error, chat.asked.model) from error
    finally:
        chat.close()
    choices = [_choice(i, piece, chat.asked) for i, piece in enumerate(pieces)]
    return {**chat.frame("chat.completion", choices), "usage": chat.usage()}


async def _collect(answer: AnswerStream) -> Piece:
    pieces = [piece async for piece in answer]
    tokens = tuple(token for piece in pieces for token in piece.tokens)
    return Piece("".join(piece.text for piece in pieces), tokens, pieces[-1].ended if pieces else "stop")


def _choice(index: int, piece: Piece, asked: ChatRequest) -> dict[str, Any]:
    message = {"role": "assistant", "content": piece.text, "refusal": None, "annotations": []}
    logprobs = _logprobs(piece.tokens) if asked.logprobs else None
    return {"index": index, "message": message, "finish_reason": piece.ended, "logprobs": logprobs}


def _logprobs(tokens: tuple[Token, ...]) -> dict[str, Any]:
    content = [
        {
            "token": token.text,
            "logprob": token.logprob,
            "bytes": list(token.bytes),
            "top_logprobs": [
                {"token": text, "logprob": logprob, "bytes": list(raw)} for text, logprob, raw in token.top
            ],
        }
        for token in tokens
    ]
    return {"content": content, "refusal": None}


async def stream(chat: Chat, over: Callable[[], None]) -> AsyncIterator[str]:
    """The completion as server-sent events; ``over`` is called at the end, whatever it is."""
    try:
        for i in range(len(chat.answers)):
            yield _event(_chunk(chat, i, {"role": "assistant", "content": "", "refusal": None}))
        async for i, piece in _merged(chat.answers):
            if piece.text or piece.tokens:
                yield _event(_chunk(chat, i, {"content": piece.text}, piece.tokens))
            if piece.ended:
                yield _event(_chunk(chat, i, {}, ended=piece.ended))
        if chat.asked.wants_usage:
            yield _event({**chat.frame("chat.completion.chunk", []), "usage": chat.usage()})
        yield "data: [DONE]\n\n"
    except Exception as error:
        fault = fault_of(error, chat.asked.model)
        if not isinstance(fault, RequestError):
            raise
        yield _event(fault.envelope())
    finally:
        chat.close()
        over()


async def _merged(answers: list[AnswerStream]) -> AsyncIterator[tuple[int, Piece]]:
    """(which answer, its next piece) as they come."""
    waiting = {asyncio.ensure_future(anext(answer, None)): i for i, answer in enumerate(answers)}
    try:
        while waiting:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                i = waiting.pop(task)
                piece = task.result()
                if piece is not None:
                    waiting[asyncio.ensure_future(anext(answers[i], None))] = i
                    yield i, piece
    finally:
        for task in waiting:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*waiting, return_exceptions=True)


def _chunk(
    chat: Chat, index: int, delta: dict[str, Any], tokens: tuple[Token, ...] = (), ended: str | None = None
) -> dict[str, Any]:
    logprobs = _logprobs(tokens) if chat.asked.logprobs and tokens else None
    choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": ended}
    found = chat.frame("chat.completion.chunk", [choice])
    return {**found, "usage": None} if chat.asked.wants_usage else found


def _event(value: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"


def estimated_tokens(asked: ChatRequest) -> int:
    """Tokens that a request may take, before anybody has counted: at least what its prompt takes."""
    characters = sum(len(message.text) for message in asked.messages)
    return 1 + characters // CHARACTERS_A_TOKEN + asked.choices * min(asked.most_tokens or 0, MOST_ESTIMATED)
