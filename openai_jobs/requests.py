"""One chat request to an OpenAI-compatible API, and what makes a reply to it whole."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any


@dataclass(frozen=True)
class ChatRequest:
    """One request: to which model, about which row, with what settings but those that only add to the reply."""

    row_id: str
    model: str
    messages: tuple[Mapping[str, Any], ...]
    max_tokens: int
    seed: int

    @cached_property
    def digest(self) -> str:
        """What it is known by: 32 hex digits over all that decides its answer."""
        told = [self.model, list(self.messages), self.max_tokens, self.seed]
        return sha256(json.dumps(told, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class RequestOptions:
    """What an endpoint turned out to understand: how many ``top_logprobs`` (0: none), and what the cap is called."""

    top_logprobs: int = 20
    cap: str = "max_tokens"
    seeded: bool = True

    def body(self, question: ChatRequest) -> dict[str, Any]:
        """The request's body."""
        found: dict[str, Any] = {
            "model": question.model,
            "messages": list(question.messages),
            "temperature": 0,
            self.cap: question.max_tokens,
        }
        if self.seeded:
            found["seed"] = question.seed
        if self.top_logprobs:
            found |= {"logprobs": True, "top_logprobs": self.top_logprobs}
        return found


class InvalidReply(ValueError):
    """A reply that is no chat completion."""


def checked(reply: Any) -> dict[str, Any]:
    """The reply, if it is a whole chat completion with one text.

    Raises:
        Garbage: it is anything else.
    """
    try:
        choice = reply["choices"][0]
        said = choice["message"]["content"] if choice["message"].get("content") is not None else ""
        refused = choice["message"].get("refusal")
        whole = isinstance(said, str) and choice["message"].get("role") == "assistant"
        ended = isinstance(choice.get("finish_reason"), str)
    except (KeyError, IndexError, TypeError, AttributeError):
        whole = ended = False
        said = refused = None
    if not (whole and ended) or (said == "" and refused is None and choice["finish_reason"] not in ENDINGS):
        raise InvalidReply("it is no chat completion")
    return reply


#: Reasons for which an answer may be empty.
ENDINGS = ("stop", "length", "content_filter")
