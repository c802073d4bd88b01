"""One chat request to an OpenAI-compatible API, and the check that a reply to it is complete."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

#: Finish reasons with which an answer may be empty.
EMPTY_FINISH_REASONS = ("stop", "length", "content_filter")


@dataclass(frozen=True)
class ChatRequest:
    """The parts of a chat request that decide its answer, and the row that it is about."""

    row_id: str
    model: str
    messages: tuple[Mapping[str, Any], ...]
    max_tokens: int
    seed: int

    @cached_property
    def digest(self) -> str:
        """Its identity: 32 hex digits of the SHA-256 of everything that decides its answer."""
        parts = [self.model, list(self.messages), self.max_tokens, self.seed]
        return sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class RequestOptions:
    """Options that not every endpoint supports.

    ``top_logprobs`` is 0 for none; ``cap`` is the endpoint's name for the token limit; ``seeded`` sends the seed.
    """

    top_logprobs: int = 20
    cap: str = "max_tokens"
    seeded: bool = True

    def body(self, request: ChatRequest) -> dict[str, Any]:
        """The JSON body of the request."""
        found: dict[str, Any] = {
            "model": request.model,
            "messages": list(request.messages),
            "temperature": 0,
            self.cap: request.max_tokens,
        }
        if self.seeded:
            found["seed"] = request.seed
        if self.top_logprobs:
            found |= {"logprobs": True, "top_logprobs": self.top_logprobs}
        return found


class InvalidReply(ValueError):
    """A reply that is no chat completion."""


def checked(reply: Any) -> dict[str, Any]:
    """The reply, if it is a complete chat completion with one text.

    Raises:
        InvalidReply: it is anything else.
    """
    try:
        choice = reply["choices"][0]
        content = choice["message"]["content"] if choice["message"].get("content") is not None else ""
        refusal = choice["message"].get("refusal")
        whole = isinstance(content, str) and choice["message"].get("role") == "assistant"
        ended = isinstance(choice.get("finish_reason"), str)
    except (KeyError, IndexError, TypeError, AttributeError):
        whole = ended = False
        content = refusal = None
    if not (whole and ended) or (
        content == "" and refusal is None and choice["finish_reason"] not in EMPTY_FINISH_REASONS
    ):
        raise InvalidReply("it is no chat completion")
    return reply
