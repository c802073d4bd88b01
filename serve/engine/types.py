"""Requests to the engine, and answers as streams of pieces from the engine's thread to a reader in an event loop."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from data.errors import UserError
from inference.tool_calls import ToolCallReader, ToolUse


class UnknownModel(UserError):
    """There is no such model, or its weights can't be loaded."""


class BadRequest(UserError):
    """A request that can't be answered; ``param`` names the field at fault and ``code`` the kind of fault."""

    def __init__(self, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.param, self.code = param, code


class Broken(UserError):
    """The model broke down at this answer, or the engine was closed; the message says how."""


@dataclass(frozen=True)
class Request:
    """A request for one answer.

    ``reference``: what the registry knows (``pirate/3``, ``pirate/3:base``, ``pirate/3:24``), or ``base:NAME`` for a
    plain base model. ``messages``: (role, text), roles system, user and assistant. ``max_tokens``: None is what the
    model's positions leave. ``temperature`` 0 is greedy. ``seed``: None draws one. ``logit_bias``: by token id,
    -100 to 100. ``top_logprobs``: None for no log-probabilities, else 0 to 20 alternatives a token.

    ``prompt``: in place of messages, a text or token ids that are continued as they are, without a chat template;
    ``max_tokens`` 0 then only reads it. ``prompt_logprobs``: as ``top_logprobs``, of the tokens that are read.

    ``temperature``, ``top_p``, ``top_k`` (0 is all), ``min_p``, ``repetition_penalty``: None is what the model's own
    ``generation_config`` says. ``stop_token_ids`` end an answer too, and with ``ignore_eos`` alone.
    ``template_settings``: variables of the chat template. ``embeds``: the hidden states of what is read are wanted.

    ``tool_use``: the messages once more, as OpenAI's objects, where they hold tools or the answer may call some.

    ``keeps_tokens``: the ids of the answer's tokens are wanted, as ``AnswerStream.sampled``.

    ``grammar``: what the answer fits, by ``inference.constraints``; ``grammar_param`` is the field that it came from.
    """

    reference: str
    messages: tuple[tuple[str, str], ...]
    max_tokens: int | None = None
    temperature: float | None = 1.0
    top_p: float | None = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    top_logprobs: int | None = None
    prompt: str | tuple[int, ...] | None = None
    prompt_logprobs: int | None = None
    tool_use: ToolUse | None = None
    grammar: str | None = None
    grammar_param: str = "response_format"
    top_k: int | None = 0
    min_p: float | None = 0.0
    repetition_penalty: float | None = 1.0
    stop_token_ids: frozenset[int] = frozenset()
    ignore_eos: bool = False
    template_settings: Mapping[str, Any] = field(default_factory=dict)
    embeds: bool = False
    keeps_tokens: bool = False

    @property
    def param(self) -> str:
        """The field that holds what the model reads."""
        return "messages" if self.prompt is None else "prompt"


@dataclass(frozen=True)
class PromptToken:
    """A token of a prompt. ``logprob`` is None for the first, which nothing predicts; ``top``: (id, text, logprob)."""

    id: int
    text: str
    logprob: float | None = None
    top: tuple[tuple[int, str, float], ...] = ()


@dataclass(frozen=True)
class Token:
    """A token of an answer. ``logprob``: natural logarithm of its probability, before temperature, bias, penalties and
    grammar.

    ``text`` has bytes that are no whole character as escapes; ``bytes`` are exact. ``top``: (text, logprob, bytes) of
    the likeliest tokens there.
    """

    text: str
    logprob: float
    bytes: tuple[int, ...]
    top: tuple[tuple[str, float, tuple[int, ...]], ...] = ()


@dataclass(frozen=True)
class Piece:
    """A part of an answer. ``tokens`` only where log-probabilities were requested; ``ended``: empty, stop or length."""

    text: str
    tokens: tuple[Token, ...] = ()
    ended: str = ""


class AnswerStream:
    """An answer that is being generated: an async iterator of pieces, for one reader in the loop of its request.

    A reader that is slower than the model gets larger pieces. ``close`` it at the end, whatever happened.
    """

    def __init__(self, prompt_tokens: int) -> None:
        #: Tokens of the prompt, as the model reads it.
        self.prompt_tokens = prompt_tokens
        #: Those of them that the model had read before, and remembered.
        self.cached_tokens = 0
        #: The prompt's text, and its tokens once the first piece has come, where ``Request.prompt_logprobs`` is set.
        self.prompt_text, self.prompt = "", list[PromptToken]()
        #: Takes the calls of tools out of the text; None where the answer may call none.
        self.reader: ToolCallReader | None = None
        #: The sum ``[width]`` of the last hidden states over the prompt's tokens, where ``Request.embeds`` is set.
        self.hidden: list[float] = []
        #: Each token that was sampled, the end token included, as (id, log-probability, (id, log-probability) of the
        #: likeliest there), where ``Request.keeps_tokens`` and ``top_logprobs`` are set.
        self.sampled: list[tuple[int, float, tuple[tuple[int, float], ...]]] = []
        #: Tokens that the model has made so far, without the end token.
        self.completion_tokens = 0
        self.closed = False
        self._pieces: list[Piece] = []
        self._error: Exception | None = None
        self._changed = asyncio.Event()

    def close(self) -> None:
        """End it: the engine removes it before its next token. Called in the reader's loop."""
        self.closed = True
        self._changed.set()

    def add(self, output: Piece | Exception) -> None:
        """Append the next piece, or the error that ended the answer; called in the reader's loop."""
        if isinstance(output, Piece):
            self._pieces.append(output)
        else:
            self._error = output
        self._changed.set()

    def __aiter__(self) -> "AnswerStream":
        return self

    async def __anext__(self) -> Piece:
        """The next piece, or the next ones in one.

        Raises:
            Broken: the model broke down, or the engine was closed.
        """
        if not self.closed:
            await self._changed.wait()
        self._changed.clear()
        pieces, self._pieces = self._pieces, []
        if not pieces:
            error, self._error, self.closed = self._error, None, True
            raise error or StopAsyncIteration
        if pieces[-1].ended:
            self.closed = True
        elif self._error:
            self._changed.set()
        if len(pieces) == 1:
            return pieces[0]
        text, tokens = "".join(p.text for p in pieces), sum((p.tokens for p in pieces), ())
        return Piece(text, tokens, pieces[-1].ended)
