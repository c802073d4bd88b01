"""Completions: prompts continued without a chat template, as OpenAI's ``text_completion`` objects."""

import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from serve.engine.types import AnswerStream, Piece, PromptToken, Token
from serve.http.answers import (
    DONE,
    SYSTEM_FINGERPRINT,
    ChatEngine,
    begin_answers,
    collect_all,
    event,
    merged,
    prompt_logprobs_of,
)
from serve.http.completion_schema import CompletionRequest
from serve.ids import fresh_id

#: (text, log-probability or None, {text: log-probability of an alternative} or None) of one token.
Scored = tuple[str, float | None, dict[str, float] | None]


@dataclass
class Completion:
    """Completions that are being generated: ``request.choices`` answers to each prompt, in this order."""

    request: CompletionRequest
    answers: list[AnswerStream]
    id: str = field(default_factory=lambda: fresh_id("cmpl-"))
    created_s: int = field(default_factory=lambda: int(time.time()))

    @property
    def tokens(self) -> int:
        """Tokens of the prompts, and those generated so far."""
        return self._prompt_tokens + sum(answer.completion_tokens for answer in self.answers)

    @property
    def _prompt_tokens(self) -> int:
        return sum(answer.prompt_tokens for answer in self.answers[:: self.request.choices])

    def usage(self) -> dict[str, Any]:
        """OpenAI's usage object."""
        read, total = self._prompt_tokens, self.tokens
        return {"prompt_tokens": read, "completion_tokens": total - read, "total_tokens": total}

    async def complete(self) -> dict[str, Any]:
        """Wait for all choices; returns OpenAI's ``text_completion`` object.

        Raises:
            RequestError: an answer failed.
        """
        pieces = await collect_all(self.answers, self.request.model)
        choices = [self._choice(index, piece, 0, True) for index, piece in enumerate(pieces)]
        return {**self.object(choices), "usage": self.usage()}

    async def events(self) -> AsyncGenerator[str, None]:
        """The completion as server-sent events."""
        shown = [0] * len(self.answers)  # characters of each choice's scored tokens so far
        begun = [False] * len(self.answers)
        async for index, piece in merged(self.answers):
            if piece.text or piece.tokens or piece.ended:
                choice = self._choice(index, piece, shown[index], not begun[index])
                begun[index] = True
                shown[index] += sum(map(len, (choice["logprobs"] or {}).get("tokens", ())))
                yield event(self._chunk([choice]))
        if self.request.wants_usage:
            yield event({**self.object([]), "usage": self.usage()})
        yield DONE

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        chunk = self.object(choices)
        return {**chunk, "usage": None} if self.request.wants_usage else chunk

    def object(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        """An object of this completion; a stream's chunks are of the same kind."""
        return {
            "id": self.id,
            "object": "text_completion",
            "created": self.created_s,
            "model": self.request.model,
            "system_fingerprint": SYSTEM_FINGERPRINT,
            "choices": choices,
        }

    def _choice(self, index: int, piece: Piece, offset: int, is_first: bool) -> dict[str, Any]:
        """A choice, or the part of one that ``piece`` adds after ``offset`` characters."""
        answer, echoed = self.answers[index], self.request.echo and is_first
        scored = [
            *(_prompt_scored(token, self.request.logprobs or 0) for token in (answer.prompt if echoed else ())),
            *map(_scored, piece.tokens),
        ]
        wanted = self.request.prompt_logprobs is not None
        return {
            **({"prompt_logprobs": prompt_logprobs_of(answer.prompt)} if wanted else {}),
            "index": index,
            "text": (answer.prompt_text if echoed else "") + piece.text,
            "finish_reason": piece.ended or None,
            "logprobs": None if self.request.logprobs is None else logprobs_of(scored, offset),
        }


def _prompt_scored(token: PromptToken, most: int) -> Scored:
    if token.logprob is None:
        return token.text, None, None
    return token.text, token.logprob, _alternatives((text, value) for _, text, value in token.top[:most])


def _scored(token: Token) -> Scored:
    return token.text, token.logprob, _alternatives((text, value) for text, value, _ in token.top)


def _alternatives(top: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Log-probabilities by text; where two tokens have one text, the likelier's."""
    found: dict[str, float] = {}
    for text, value in top:
        found.setdefault(text, value)
    return found


def logprobs_of(tokens: Sequence[Scored], offset: int) -> dict[str, Any]:
    """OpenAI's log-probabilities of a completion, whose first token begins after ``offset`` characters."""
    offsets = []
    for text, _, _ in tokens:
        offsets.append(offset)
        offset += len(text)
    return {
        "tokens": [text for text, _, _ in tokens],
        "token_logprobs": [logprob for _, logprob, _ in tokens],
        "top_logprobs": [top for _, _, top in tokens],
        "text_offset": offsets,
    }


async def begin(engine: ChatEngine, request: CompletionRequest, reference: str) -> Completion:
    """Begin to generate; ``reference`` is the engine's name of the model.

    Raises:
        RequestError: the model is not there, or can't continue one of the prompts.
    """
    return Completion(request, await begin_answers(engine, request.requests(reference), request.model))
