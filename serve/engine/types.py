"""What is asked for and what comes back, piece by piece, from the engine's thread to whoever waits in an event loop."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from data.errors import UserError


class UnknownModel(UserError):
    """There is no such model, or its weights can't be had."""


class BadRequest(UserError):
    """A request that can't be answered; ``param`` names the field at fault and ``code`` the kind of fault."""

    def __init__(self, message: str, param: str | None = None, code: str | None = None):
        super().__init__(message)
        self.param, self.code = param, code


class Broken(UserError):
    """The model broke down at this answer, or the engine was closed; the message says how."""


@dataclass(frozen=True)
class Request:
    """One answer wanted.

    ``reference``: what the registry knows (``pirate/3``, ``pirate/3:base``, ``pirate/3:24``), or ``base:NAME`` for a
    plain base model. ``messages``: (role, text), roles system, user and assistant. ``max_tokens``: None is what the
    model's positions leave. ``temperature`` 0 is greedy. ``seed``: None draws one. ``logit_bias``: by token id,
    -100 to 100. ``top_logprobs``: None where no log-probabilities are wanted, else 0 to 20 alternatives a token.
    """

    reference: str
    messages: tuple[tuple[str, str], ...]
    max_tokens: int | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    top_logprobs: int | None = None


@dataclass(frozen=True)
class Token:
    """A token of an answer. ``logprob``: natural logarithm of its probability, before temperature, bias and penalties.

    ``text`` has bytes that are no whole character as escapes; ``bytes`` are exact. ``top``: (text, logprob, bytes) of
    the likeliest tokens there.
    """

    text: str
    logprob: float
    bytes: tuple[int, ...]
    top: tuple[tuple[str, float, tuple[int, ...]], ...] = ()


@dataclass(frozen=True)
class Piece:
    """What an answer grows by. ``tokens`` only where log-probabilities are wanted; ``ended``: empty, stop or length."""

    text: str
    tokens: tuple[Token, ...] = ()
    ended: str = ""


class AnswerStream:
    """An answer on its way: an async iterator of pieces, for one reader in the loop that it was asked in.

    A reader who is slower than the model gets larger pieces. ``close`` once no more is wanted, whatever happened.
    """

    def __init__(self, prompt_tokens: int):
        #: Tokens of the prompt, as the model reads it.
        self.prompt_tokens = prompt_tokens
        #: Tokens that the model has made so far, without the end token.
        self.completion_tokens = 0
        self.closed = False
        self._pieces: list[Piece] = []
        self._error: Exception | None = None
        self._news = asyncio.Event()

    def close(self) -> None:
        """Want no more: the engine stops working on it before its next token. Called in the reader's loop."""
        self.closed = True
        self._news.set()

    def put(self, news: Piece | Exception) -> None:
        """Hand over the next piece, or what the answer failed with; called in the reader's loop."""
        if isinstance(news, Piece):
            self._pieces.append(news)
        else:
            self._error = news
        self._news.set()

    def __aiter__(self) -> "AnswerStream":
        return self

    async def __anext__(self) -> Piece:
        """The next piece, or the next ones in one.

        Raises:
            Broken: the model broke down, or the engine was closed.
        """
        if not self.closed:
            await self._news.wait()
        self._news.clear()
        pieces, self._pieces = self._pieces, []
        if not pieces:
            error, self._error, self.closed = self._error, None, True
            raise error or StopAsyncIteration
        if pieces[-1].ended:
            self.closed = True
        elif self._error:
            self._news.set()
        if len(pieces) == 1:
            return pieces[0]
        text, tokens = "".join(p.text for p in pieces), sum((p.tokens for p in pieces), ())
        return Piece(text, tokens, pieces[-1].ended)
