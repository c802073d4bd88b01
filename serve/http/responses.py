"""Responses: one answer as OpenAI's ``response`` object, whole or as a stream of its events."""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from serve.engine.types import AnswerStream, Token
from serve.errors import RequestError
from serve.http.answers import ChatEngine, begin_answers, collect_all, event, logprobs_of
from serve.http.response_schema import Messages, ResponseRequest
from serve.ids import fresh_id

#: Fields of a response's request by the names that a chat completion has for them.
FIELDS = {"messages": "input", "max_tokens": "max_output_tokens", "response_format": "text.format"}
#: Stores a response: its object, and the conversation up to and with its answer.
Save = Callable[[dict[str, Any], Messages], Awaitable[None]]


@dataclass
class ModelResponse:
    """A response that is being generated; ``save`` stores it at its end, where it is to be kept."""

    request: ResponseRequest
    earlier: Messages
    answer: AnswerStream
    save: Save | None
    id: str = field(default_factory=lambda: fresh_id("resp_"))
    message_id: str = field(default_factory=lambda: fresh_id("msg_"))
    created_s: int = field(default_factory=lambda: int(time.time()))
    _sent: int = 0

    @property
    def answers(self) -> list[AnswerStream]:
        """The only answer."""
        return [self.answer]

    @property
    def tokens(self) -> int:
        """Tokens of the input, and those generated so far."""
        return self.answer.prompt_tokens + self.answer.completion_tokens

    async def complete(self) -> dict[str, Any]:
        """Wait for the answer; returns OpenAI's ``response`` object.

        Raises:
            RequestError: the answer failed.
        """
        (piece,) = await collect_all([self.answer], self.request.model)
        return await self._end(piece.text, piece.tokens, piece.ended)

    async def _end(self, text: str, tokens: Sequence[Token], ended: str) -> dict[str, Any]:
        status = "incomplete" if ended == "length" else "completed"
        found = self.object(status, [self._message(status, [self._part(text, tokens)])])
        if self.save:
            await self.save(found, (*self.earlier, *self.request.messages, ("assistant", text)))
        return found

    async def events(self) -> AsyncGenerator[str, None]:
        """The response as server-sent events."""
        for name in ("created", "in_progress"):
            yield self._event(name, response=self.object("in_progress", []))
        yield self._event("output_item.added", output_index=0, item=self._message("in_progress", []))
        place = {"item_id": self.message_id, "output_index": 0, "content_index": 0}
        yield self._event("content_part.added", **place, part=self._part("", ()))
        text, tokens, ended = "", list[Token](), "stop"
        async for piece in self.answer:
            text, ended = text + piece.text, piece.ended
            tokens += piece.tokens
            if piece.text:
                yield self._event("output_text.delta", **place, delta=piece.text, logprobs=self._logprobs(piece.tokens))
        yield self._event("output_text.done", **place, text=text, logprobs=self._logprobs(tokens))
        yield self._event("content_part.done", **place, part=self._part(text, tokens))
        found = await self._end(text, tokens, ended)
        yield self._event("output_item.done", output_index=0, item=found["output"][0])
        yield self._event(found["status"], response=found)

    def _event(self, name: str, **values: Any) -> str:
        kind = f"response.{name}"
        self._sent += 1
        return event({"type": kind, "sequence_number": self._sent - 1, **values}, kind)

    def _logprobs(self, tokens: Sequence[Token]) -> list[dict[str, Any]]:
        return logprobs_of(tokens) if self.request.wants_logprobs else []

    def _part(self, text: str, tokens: Sequence[Token]) -> dict[str, Any]:
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": self._logprobs(tokens)}

    def _message(self, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
        return {"id": self.message_id, "type": "message", "role": "assistant", "status": status, "content": content}

    def object(self, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
        """OpenAI's ``response`` object."""
        request = self.request
        ended = status in ("completed", "incomplete")
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created_s,
            "completed_at": int(time.time()) if status == "completed" else None,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
            "instructions": request.instructions,
            "max_output_tokens": request.max_output_tokens,
            "metadata": request.metadata or {},
            "model": request.model,
            "output": output,
            "parallel_tool_calls": True if request.parallel_tool_calls is None else request.parallel_tool_calls,
            "previous_response_id": request.previous_response_id,
            "reasoning": {"effort": None, "summary": None},
            "service_tier": "default",
            "store": self.save is not None,
            "temperature": 1.0 if request.temperature is None else request.temperature,
            "text": {"format": (request.text and request.text.format) or {"type": "text"}},
            "tool_choice": "auto",
            "tools": [],
            "top_logprobs": request.top_logprobs or 0,
            "top_p": 1.0 if request.top_p is None else request.top_p,
            "truncation": "disabled",
            "usage": self._usage() if ended else None,
            "user": None,
        }

    def _usage(self) -> dict[str, Any]:
        return {
            "input_tokens": self.answer.prompt_tokens,
            "input_tokens_details": {"cached_tokens": self.answer.cached_tokens, "cache_write_tokens": 0},
            "output_tokens": self.answer.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": self.tokens,
        }


async def begin(
    engine: ChatEngine, request: ResponseRequest, reference: str, earlier: Messages, save: Save | None
) -> ModelResponse:
    """Begin to generate the answer, after the ``earlier`` messages; ``reference`` is the engine's name of the model.

    Raises:
        RequestError: the model is not there, or can't answer this request.
    """
    try:
        (answer,) = await begin_answers(engine, [request.engine_request(reference, earlier)], request.model)
    except RequestError as error:
        given, error.param = error.param or "", FIELDS.get(error.param or "", error.param)
        error.message = error.message.replace(given, error.param or "") if given in FIELDS else error.message
        raise
    return ModelResponse(request, earlier, answer, save)


def input_items(response_id: str, messages: Messages) -> Iterator[dict[str, Any]]:
    """The items of a response's input, as OpenAI lists them; ``messages`` are the conversation before its answer."""
    for number, (role, text) in enumerate(messages):
        kind = "output_text" if role == "assistant" else "input_text"
        part = {"type": kind, "text": text, **({"annotations": []} if role == "assistant" else {})}
        yield {"id": f"msg_{response_id.removeprefix('resp_')}_{number}", "type": "message", "role": role,
               "status": "completed", "content": [part]}  # fmt: skip
