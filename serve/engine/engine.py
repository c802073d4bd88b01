"""The chat engine: one thread that generates all answers, by continuous batching.

Requests join between two tokens and leave when they are done. All that use one base, each with an adapter of its own or
none, are rows of one batch; other models take turns with it. An answer does not depend on the others in its batch.
"""

import asyncio
import contextlib
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from data.errors import UserError, explain
from inference.constraints import GrammarCompiler, GrammarError
from inference.constraints import check as check_grammar
from inference.detokenizer import Detokenizer
from inference.generation import LoadedModel
from inference.locations import ModelLocation
from inference.model_pool import ModelPool
from inference.prompts import line_of, prompt_line, tool_line
from inference.tool_calls import parameters_grammar
from serve.engine.prefix_cache import PrefixCache
from serve.engine.resolver import ModelResolver
from serve.engine.scheduler import Output, Scheduler, broken
from serve.engine.sequence import ActiveSequence
from serve.engine.types import AnswerStream, BadRequest, Broken, Piece, Request, Token, UnknownModel

__all__ = ["AnswerStream", "BadRequest", "Broken", "Engine", "Piece", "Request", "Token", "UnknownModel"]

LOADING_S = 0.05  # of admitting requests, before the running ones get their next token
CLOSED = "the server is stopping"


@dataclass(eq=False)
class _Request:
    """A request from its arrival to its end; ``reply`` gets its answer in ``loop``."""

    request: Request
    location: ModelLocation
    loop: asyncio.AbstractEventLoop
    reply: asyncio.Future[AnswerStream]
    cancelled: bool = False


class Engine:
    """Generates answers.

    Args:
        find_base: finds the folder of a base model by its name.
        capacity_bytes: of the weights that are kept; what is needed at once may take more.
        device: where the models are.
        most_rows: answers at once; requests beyond them wait, first come, first served.
        load: how bases are held that are asked for by their own names.
    """

    def __init__(
        self,
        find_base: Callable[[str], Path],
        capacity_bytes: int,
        device: str = "cpu",
        most_rows: int = 32,
        load: str = "auto",
    ) -> None:
        self._resolver, self._most_rows = ModelResolver(find_base, load), most_rows
        self._pool = ModelPool(None, capacity_bytes, device)
        self._schedulers: dict[int, Scheduler] = {}
        self._kept: weakref.WeakKeyDictionary[object, PrefixCache] = weakref.WeakKeyDictionary()
        self._active: dict[ActiveSequence, _Request] = {}
        self._queue: deque[_Request] = deque()
        self._over_capacity: set[ModelLocation] | None = None  # those in use when they took more than the capacity
        self._detokenizers: weakref.WeakKeyDictionary[object, Detokenizer] = weakref.WeakKeyDictionary()
        self._grammars: weakref.WeakKeyDictionary[object, GrammarCompiler] = weakref.WeakKeyDictionary()
        self._loaded: dict[str, weakref.ref[object]] = {}
        self._counts = dict.fromkeys(("answers", "prompt_tokens", "completion_tokens", "failures"), 0.0)
        self._wake, self._closed = threading.Condition(), False
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self._thread.start()

    async def generate(self, request: Request) -> AnswerStream:
        """The answer to ``request``, which has begun; waits where too many are running already.

        Raises:
            UnknownModel: there is no such model, or it can't be loaded; the message names it.
            BadRequest: the model can't answer this.
            TrackingUnavailable: the registry is down, and this model was not looked up before.
            Broken: loading failed unexpectedly, or the engine is closed.
        """
        _require_valid(request)
        if request.grammar is not None or request.tool_use is not None:
            await asyncio.to_thread(_require_enforceable, request)
        if self._closed:
            raise Broken(CLOSED)
        location = await self._resolver.locate(request.reference)
        loop = asyncio.get_running_loop()
        queued = _Request(request, location, loop, loop.create_future())
        with self._wake:
            if self._closed:
                raise Broken(CLOSED)
            self._queue.append(queued)
            self._wake.notify()
        try:
            return await queued.reply
        except asyncio.CancelledError:
            queued.cancelled = True
            raise

    async def locate(self, reference: str) -> ModelLocation:
        """Where the files of a model are; raises as ``generate`` does."""
        return await self._resolver.locate(reference)

    def add(self, location: ModelLocation) -> None:
        """Answer as the model at ``location`` where its reference is used, though the registry does not know it."""
        self._resolver.unregistered[location.info.reference] = location

    def remove(self, reference: str) -> None:
        """Forget the location that was added for ``reference``."""
        self._resolver.unregistered.pop(reference, None)

    def loaded(self) -> list[str]:
        """References of the models that are in memory now."""
        return sorted(name for name, model in list(self._loaded.items()) if model() is not None)

    def stats(self) -> Mapping[str, float]:
        """Answers that run and that wait, bytes of weights, and totals since the start."""
        now = {"running": len(self._active), "waiting": len(self._queue), "weights_bytes": self._pool.bytes}
        return {**now, **self._counts}

    def close(self) -> None:
        """End all answers with an error, and the thread."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join()
        self._resolver.close()

    # All that follows runs in the engine's thread

    def _work(self) -> None:
        try:
            while self._wait():
                self._step()
        finally:  # nothing shall wait for a thread that has ended
            self._closed = True
            for queued in self._queue:
                _resolve(queued, Broken(CLOSED))
            self._deliver([(sequence, Broken(CLOSED)) for sequence in list(self._active)])

    def _wait(self) -> bool:
        """Wait until there is work; False once the engine is closed."""
        with self._wake:
            self._wake.wait_for(lambda: self._queue or self._active or self._closed)
            return not self._closed

    def _step(self) -> None:
        """Admit waiting requests and decode one token of every answer; answers that were closed are removed first."""
        self._active = {sequence: request for sequence, request in self._active.items() if not sequence.answer.closed}
        self._admit()
        for key, scheduler in list(self._schedulers.items()):
            try:
                self._deliver(scheduler.step())
                ended = not scheduler.sequences
            except Exception as error:  # this model's state is broken; the others go on
                failed = [sequence for sequence in self._active if sequence.row.model is scheduler.model]
                self._deliver([(sequence, broken(error)) for sequence in failed])
                ended = True
            if ended:
                del self._schedulers[key]

    def _admit(self) -> None:
        """Begin waiting requests while there is room, for about ``LOADING_S`` seconds."""
        until = time.monotonic() + LOADING_S
        while self._queue and len(self._active) < self._most_rows and time.monotonic() < until:
            first = self._queue[0]
            if not (first.cancelled or self._has_room(first.location)):
                return
            self._queue.popleft()
            if not first.cancelled:
                self._begin(first)

    def _begin(self, queued: _Request) -> None:
        """Load the request's model and add its sequence to the model's scheduler."""
        try:
            sequence = self._sequence(queued)
        except Exception as error:
            _resolve(queued, error if isinstance(error, UserError) else broken(error))
            return
        self._counts["prompt_tokens"] += sequence.answer.prompt_tokens
        self._active[sequence] = queued
        model = sequence.row.model
        if id(model) not in self._schedulers:
            if model not in self._kept:
                self._kept[model] = PrefixCache()
            self._schedulers[id(model)] = Scheduler(model, self._kept[model])
        self._schedulers[id(model)].add(sequence)
        _resolve(queued, sequence.answer)

    def _sequence(self, queued: _Request) -> ActiveSequence:
        model = self._load(queued.location)
        try:
            prompt = queued.request.prompt
            use = queued.request.tool_use
            if prompt is not None:
                row = prompt_line(model, prompt)
            elif use is not None:
                row = tool_line(model, use.messages, use.tools)
            else:
                row = line_of(model, queued.request.messages, queued.request.template_settings)
            if queued.request.stop_token_ids or queued.request.ignore_eos:
                ends = frozenset() if queued.request.ignore_eos else frozenset(row.ends)
                row = replace(row, ends=ends | queued.request.stop_token_ids)
        except Exception as error:  # a chat template is a program that came with the model
            raise BadRequest(explain(error), queued.request.param) from error
        if model.tokenizer not in self._detokenizers:
            self._detokenizers[model.tokenizer] = Detokenizer(model.tokenizer)
        if model.tokenizer not in self._grammars:
            self._grammars[model.tokenizer] = GrammarCompiler(model.tokenizer)
        return ActiveSequence(
            queued.request, model, row, self._detokenizers[model.tokenizer], self._grammars[model.tokenizer]
        )

    def _load(self, location: ModelLocation) -> LoadedModel:
        """The model at ``location``; models in use stay loaded beside it."""
        in_use = {request.location: sequence.model for sequence, request in self._active.items()}
        if location in in_use:
            return in_use[location]
        model = self._pool.load([location, *in_use]).loaded[0]
        if model.error:
            raise UnknownModel(model.error)
        self._over_capacity = {location, *in_use} if self._pool.bytes > self._pool.capacity_bytes else None
        self._loaded = {name: each for name, each in self._loaded.items() if each() is not None}
        self._loaded[location.info.reference] = weakref.ref(model.adapter or model.model)
        return model

    def _has_room(self, location: ModelLocation) -> bool:
        """False while the models in use take more than the capacity, and ``location`` would come on top."""
        in_use = {request.location for request in self._active.values()}
        return self._over_capacity is None or location in in_use or in_use != self._over_capacity

    def _deliver(self, outputs: Iterable[Output]) -> None:
        """Send ``outputs`` to their readers, all of one event loop in one call: waking a loop takes longest."""
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[AnswerStream, Piece | Exception]]] = {}
        for sequence, output in outputs:
            failed = not isinstance(output, Piece)
            if failed or output.text or output.tokens or output.ended:
                by_loop.setdefault(self._active[sequence].loop, []).append((sequence.answer, output))
            if failed or output.ended:
                self._counts["failures" if failed else "answers"] += 1
                self._counts["completion_tokens"] += sequence.answer.completion_tokens
                del self._active[sequence]
        for loop, outputs_of_loop in by_loop.items():
            _call(loop, _add, outputs_of_loop)


def _add(outputs: list[tuple[AnswerStream, Piece | Exception]]) -> None:
    for answer, output in outputs:
        answer.add(output)


def _resolve(queued: _Request, reply: AnswerStream | Exception) -> None:
    """Set the result of the future that ``Engine.generate`` awaits."""

    def resolve() -> None:
        if queued.reply.done():  # cancelled meanwhile
            if isinstance(reply, AnswerStream):
                reply.close()
        elif isinstance(reply, AnswerStream):
            queued.reply.set_result(reply)
        else:
            queued.reply.set_exception(reply)

    _call(queued.loop, resolve)


def _call(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *args: object) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nothing reads any more
        loop.call_soon_threadsafe(function, *args)


def _require_enforceable(request: Request) -> None:
    """Raise ``BadRequest`` for a grammar, or a tool's, that can't be enforced; the check can take a second."""
    if request.grammar is not None:
        _require_grammar(request.grammar, request.grammar_param, request.grammar_param)
    for i, tool in enumerate(request.tool_use.tools if request.tool_use else ()):
        name = tool["function"]["name"]
        param = f"tools.{i}.function.parameters"
        _require_grammar(parameters_grammar(tool), f"the parameters of the tool {name!r}", param)


def _require_grammar(grammar: str, name: str, param: str) -> None:
    try:
        check_grammar(grammar)
    except GrammarError as error:
        raise BadRequest(f"{name} can't be enforced: {error}", param) from error


def _require_valid(request: Request) -> None:
    """Raise ``BadRequest`` for settings out of their ranges."""
    least = 1 if request.prompt is None else 0
    wrong = [
        ("messages", not (request.messages or request.prompt is not None), "at least one message"),
        ("temperature", request.temperature is not None and not 0 <= request.temperature <= 2, "0 to 2"),
        ("top_p", request.top_p is not None and not 0 < request.top_p <= 1, "above 0, up to 1"),
        ("max_tokens", request.max_tokens is not None and request.max_tokens < least, f"at least {least}"),
        ("top_logprobs", not 0 <= (request.top_logprobs or 0) <= 20, "0 to 20"),
        ("presence_penalty", not -2 <= request.presence_penalty <= 2, "-2 to 2"),
        ("frequency_penalty", not -2 <= request.frequency_penalty <= 2, "-2 to 2"),
        ("logit_bias", not all(-100 <= bias <= 100 for bias in request.logit_bias.values()), "-100 to 100"),
    ]
    for param, is_wrong, expected in wrong:
        if is_wrong:
            raise BadRequest(f"{param} is out of range: expected {expected}", param)
