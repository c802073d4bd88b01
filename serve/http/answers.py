"""What chat completions, completions and responses share: answers of the engine, begun together and read together."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, Protocol

from inference.locations import ModelLocation
from registry.errors import TrackingUnavailable
from serve.engine.types import AnswerStream, BadRequest, Broken, Piece, PromptToken, Request, Token, UnknownModel
from serve.errors import RequestError, no_model
from serve.model_catalog import registry_unavailable

SYSTEM_FINGERPRINT = "fp_parley"
DONE = "data: [DONE]\n\n"  # the last event of a stream
CHARACTERS_PER_TOKEN = 4
MAX_ESTIMATED = 4096  # tokens of an answer: a max_tokens far above what any answer takes is no estimate of it


class ChatEngine(Protocol):
    """What generates the answers; ``serve.engine.engine.Engine`` does."""

    async def generate(self, request: Request) -> AnswerStream:
        """The answer to ``request``, which has begun."""
        ...

    async def locate(self, reference: str) -> ModelLocation:
        """Where the files of a model are."""
        ...

    def add(self, location: ModelLocation) -> None:
        """Answer as the model at ``location`` where its reference is used."""
        ...

    def remove(self, reference: str) -> None:
        """Forget the location that was added for ``reference``."""
        ...

    def stats(self) -> Mapping[str, float]:
        """Answers ``running`` and ``waiting``, and more."""
        ...

    def close(self) -> None:
        """End all answers."""
        ...


class GenerationRequest(Protocol):
    """The body of a request that generates text."""

    @property
    def model(self) -> str:
        """The name of the model."""
        ...

    @property
    def stream(self) -> bool | None:
        """Whether the text is returned as it is generated."""
        ...

    def require_supported(self) -> None:
        """Check what the types of the fields can't.

        Raises:
            RequestError: a field is unknown, not supported, or needs another one.
        """
        ...

    def estimated_tokens(self) -> int:
        """An estimate of the tokens that it takes, made before anything is tokenized: prompts and answers."""
        ...


class Generation(Protocol):
    """What a request generates, as OpenAI's objects."""

    @property
    def answers(self) -> Sequence[AnswerStream]:
        """The engine's answers that it is made of."""
        ...

    @property
    def tokens(self) -> int:
        """Tokens of the prompts, and those generated so far."""
        ...

    async def complete(self) -> dict[str, Any]:
        """Wait for all of it; returns OpenAI's object.

        Raises:
            RequestError: an answer failed.
        """
        ...

    def events(self) -> AsyncGenerator[str, None]:
        """It as server-sent events; exceptions are the engine's."""
        ...


def close_all(answers: Iterable[AnswerStream]) -> None:
    """Stop generating the answers."""
    for answer in answers:
        answer.close()


def estimate_tokens(characters: int, answers: int, max_tokens: int | None) -> int:
    """An estimate of the tokens of a prompt of so many ``characters`` and ``answers`` of ``max_tokens`` each."""
    return 1 + characters // CHARACTERS_PER_TOKEN + answers * min(max_tokens or 0, MAX_ESTIMATED)


async def begin_answers(engine: ChatEngine, requests: Sequence[Request], model: str) -> list[AnswerStream]:
    """Begin to generate the answers to ``requests``; ``model`` is the model's name in errors.

    Raises:
        RequestError: the model is not there, or can't answer one of these requests; none is generated then.
    """
    tasks = [asyncio.ensure_future(engine.generate(each)) for each in requests]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException as error:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        close_all(result for result in results if isinstance(result, AnswerStream))
        if isinstance(error, Exception):
            raise request_error(error, model) from error
        raise


def request_error(error: Exception, model: str) -> Exception:
    """The response to a request that the engine failed with ``error``; errors that are not the engine's unchanged."""
    if isinstance(error, UnknownModel):
        return no_model(model, str(error))
    if isinstance(error, BadRequest):
        return RequestError(str(error), param=error.param, code=error.code)
    if isinstance(error, TrackingUnavailable):
        return registry_unavailable(error)
    if isinstance(error, Broken):
        return RequestError(str(error), 503, type="server_error", code="model_error")
    return error


async def collect_all(answers: Sequence[AnswerStream], model: str) -> list[Piece]:
    """Each answer as one piece, once all have ended; they are closed.

    Raises:
        RequestError: an answer failed.
    """
    try:
        return await asyncio.gather(*(_collect(answer) for answer in answers))
    except Exception as error:
        raise request_error(error, model) from error
    finally:
        close_all(answers)


async def _collect(answer: AnswerStream) -> Piece:
    pieces = [piece async for piece in answer]
    tokens = tuple(token for piece in pieces for token in piece.tokens)
    return Piece("".join(piece.text for piece in pieces), tokens, pieces[-1].ended if pieces else "stop")


async def merged(answers: Sequence[AnswerStream]) -> AsyncIterator[tuple[int, Piece]]:
    """(index of an answer, its next piece), in the order in which they are generated."""
    waiting = {asyncio.ensure_future(anext(answer, None)): index for index, answer in enumerate(answers)}
    try:
        while waiting:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                index = waiting.pop(task)
                piece = task.result()
                if piece is not None:
                    waiting[asyncio.ensure_future(anext(answers[index], None))] = index
                    yield index, piece
    finally:
        for task in waiting:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*waiting, return_exceptions=True)


def event(value: Mapping[str, Any], name: str = "") -> str:
    """A server-sent event that holds ``value`` as JSON; ``name`` is its type, where it has one."""
    return (f"event: {name}\n" if name else "") + f"data: {json.dumps(value, ensure_ascii=False)}\n\n"


def logprobs_of(tokens: Sequence[Token]) -> list[dict[str, Any]]:
    """OpenAI's log-probabilities of the tokens of an answer."""
    return [
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


def prompt_logprobs_of(tokens: Sequence[PromptToken]) -> list[dict[str, Any] | None]:
    """vLLM's ``prompt_logprobs``: for each token of a prompt the log-probabilities by token id, its own first."""
    found: list[dict[str, Any] | None] = []
    for token in tokens:
        each = [] if token.logprob is None else [(token.id, token.text, token.logprob), *token.top]
        listed = {str(id): {"logprob": value, "rank": None, "decoded_token": text} for id, text, value in each}
        found.append(listed or None)
    return found


async def reported(generation: Generation, model: str) -> AsyncGenerator[str, None]:
    """The events of ``generation``, which is closed at the end; the last is an error's envelope where it failed."""
    try:
        async for each in generation.events():
            yield each
    except Exception as error:
        found = request_error(error, model)
        if not isinstance(found, RequestError):
            raise
        yield event(found.envelope())
    finally:
        close_all(generation.answers)
