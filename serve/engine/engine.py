"""The chat engine: one thread that answers everyone, with as many answers at once as have room.

Requests join between two tokens and leave when they are done. All that speak with one base, each with an adapter of its
own or none, are rows of one batch; other models take turns with it. What an answer says depends on nobody else.
"""

import asyncio
import contextlib
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from data.errors import UserError, explain
from inference.detokenizer import Detokenizer
from inference.generation import LoadedModel, line_of
from inference.locations import ModelLocation
from inference.model_pool import ModelPool
from serve.engine.resolver import ModelFinder
from serve.engine.scheduler import News, Scheduler, broken
from serve.engine.sequence import ActiveSequence
from serve.engine.types import AnswerStream, BadRequest, Broken, Piece, Request, Token, UnknownModel

__all__ = ["AnswerStream", "BadRequest", "Broken", "Engine", "Piece", "Request", "Token", "UnknownModel"]

LOADING_S = 0.05
CLOSED = "the server is stopping"


@dataclass
class _Asked:
    """A request on its way to a seat; ``reply`` gets its answer in ``loop``."""

    request: Request
    place: ModelLocation
    loop: asyncio.AbstractEventLoop
    reply: asyncio.Future[AnswerStream]
    gone: bool = False


class Engine:
    """Answers requests.

    Args:
        find_base: finds the folder of a base model by its name.
        capacity_bytes: of the weights that are kept; what is needed at once may take more.
        device: where the models lie.
        most_rows: answers at once; who comes then waits, first come, first served.
    """

    def __init__(self, find_base: Callable[[str], Path], capacity_bytes: int, device: str = "cpu", most_rows: int = 32):
        self._finder, self._most_rows = ModelFinder(find_base), most_rows
        self._pool = ModelPool(None, capacity_bytes, device)
        self._crews: dict[int, Scheduler] = {}
        self._seats: dict[ActiveSequence, _Asked] = {}
        self._queue: deque[_Asked] = deque()
        self._crowd: set[ModelLocation] | None = None  # those in use when they took more than the capacity
        self._spellings: weakref.WeakKeyDictionary[object, Detokenizer] = weakref.WeakKeyDictionary()
        self._opened: dict[str, weakref.ref[object]] = {}
        self._counts = dict.fromkeys(("answers", "prompt_tokens", "completion_tokens", "failures"), 0.0)
        self._wake, self._closed = threading.Condition(), False
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self._thread.start()

    async def ask(self, request: Request) -> AnswerStream:
        """The answer to ``request``, which has begun; waits where too many are answered already.

        Raises:
            UnknownModel: there is no such model, or it can't be had; the message says which.
            BadRequest: the model can't answer this.
            TrackingUnavailable: the registry is down, and this version was never asked for.
            Broken: loading failed in a way that nobody foresaw, or the engine is closed.
        """
        _require_sound(request)
        if self._closed:
            raise Broken(CLOSED)
        place = await self._finder.find(request.reference)
        loop = asyncio.get_running_loop()
        asked = _Asked(request, place, loop, loop.create_future())
        with self._wake:
            if self._closed:
                raise Broken(CLOSED)
            self._queue.append(asked)
            self._wake.notify()
        try:
            return await asked.reply
        except asyncio.CancelledError:
            asked.gone = True
            raise

    def loaded(self) -> list[str]:
        """References of what is in memory now."""
        return sorted(name for name, held in list(self._opened.items()) if held() is not None)

    def stats(self) -> Mapping[str, float]:
        """Answers that run and that wait, bytes of weights, and totals since the start."""
        now = {"running": len(self._seats), "waiting": len(self._queue), "weights_bytes": self._pool.bytes}
        return {**now, **self._counts}

    def close(self) -> None:
        """End everything; whoever still reads is told."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join()
        self._finder.close()

    # All that follows is done in the engine's thread

    def _work(self) -> None:
        try:
            while self._is_wanted():
                self._turn()
        finally:  # nobody shall wait for a thread that is no more
            self._closed = True
            for asked in self._queue:
                _reply(asked, Broken(CLOSED))
            self._tell([(seat, Broken(CLOSED)) for seat in list(self._seats)])

    def _is_wanted(self) -> bool:
        """Wait until there is something to do; False once there never will be."""
        with self._wake:
            self._wake.wait_for(lambda: self._queue or self._seats or self._closed)
            return not self._closed

    def _turn(self) -> None:
        """Seat those who come, and give everyone a token; those who want no more have left before."""
        self._seats = {seat: asked for seat, asked in self._seats.items() if not seat.answer.closed}
        self._admit()
        for key, crew in list(self._crews.items()):
            try:
                self._tell(crew.turn())
                over = not crew.seats
            except Exception as error:  # this model is in disorder; the others go on
                self._tell([(seat, broken(error)) for seat in self._seats if seat.line.model is crew.model])
                over = True
            if over:
                del self._crews[key]

    def _admit(self) -> None:
        """Seat those who wait, as far as there is room; after one that took long, those who run have their turn."""
        until = time.monotonic() + LOADING_S
        while self._queue and len(self._seats) < self._most_rows and time.monotonic() < until:
            asked = self._queue[0]
            if not (asked.gone or self._has_room(asked.place)):
                return
            self._queue.popleft()
            if not asked.gone:
                self._seat(asked)

    def _seat(self, asked: _Asked) -> None:
        try:
            speaker = self._speaker(asked.place)
            try:
                line = line_of(speaker, asked.request.messages)
            except Exception as error:  # a chat template is a program of a stranger's
                raise BadRequest(explain(error), "messages") from error
            if speaker.tokenizer not in self._spellings:
                self._spellings[speaker.tokenizer] = Detokenizer(speaker.tokenizer)
            seat = ActiveSequence(asked.request, speaker, line, self._spellings[speaker.tokenizer])
        except Exception as error:
            _reply(asked, error if isinstance(error, UserError) else broken(error))
            return
        self._counts["prompt_tokens"] += seat.answer.prompt_tokens
        self._seats[seat] = asked
        if id(line.model) not in self._crews:
            self._crews[id(line.model)] = Scheduler(line.model)
        self._crews[id(line.model)].add(seat)
        _reply(asked, seat.answer)

    def _speaker(self, place: ModelLocation) -> LoadedModel:
        """Whoever speaks from ``place``; what is in use stays loaded beside it."""
        in_use = {asked.place: seat.speaker for seat, asked in self._seats.items()}
        if place in in_use:
            return in_use[place]
        speaker = self._pool.load([place, *in_use]).speakers[0]
        if speaker.error:
            raise UnknownModel(speaker.error)
        self._crowd = {place, *in_use} if self._pool.bytes > self._pool.capacity_bytes else None
        self._opened = {name: held for name, held in self._opened.items() if held() is not None}
        self._opened[place.voice.reference] = weakref.ref(speaker.adapter or speaker.model)
        return speaker

    def _has_room(self, place: ModelLocation) -> bool:
        """False while those in use take more than the capacity, and ``place`` would come on top."""
        in_use = {asked.place for asked in self._seats.values()}
        return self._crowd is None or place in in_use or in_use != self._crowd

    def _tell(self, news: Iterable[News]) -> None:
        """Hand ``news`` over to those who read, all of a loop at once: waking it takes longer than the rest."""
        parcels: dict[asyncio.AbstractEventLoop, list[tuple[AnswerStream, Piece | Exception]]] = {}
        for seat, each in news:
            failed = not isinstance(each, Piece)
            if failed or each.text or each.tokens or each.ended:
                parcels.setdefault(self._seats[seat].loop, []).append((seat.answer, each))
            if failed or each.ended:
                self._counts["failures" if failed else "answers"] += 1
                self._counts["completion_tokens"] += seat.answer.completion_tokens
                del self._seats[seat]
        for loop, parcel in parcels.items():
            _call(loop, _deliver, parcel)


def _deliver(parcel: list[tuple[AnswerStream, Piece | Exception]]) -> None:
    for answer, news in parcel:
        answer.put(news)


def _reply(asked: _Asked, reply: AnswerStream | Exception) -> None:
    def settle() -> None:
        if asked.reply.done():  # cancelled meanwhile
            if isinstance(reply, AnswerStream):
                reply.close()
        elif isinstance(reply, AnswerStream):
            asked.reply.set_result(reply)
        else:
            asked.reply.set_exception(reply)

    _call(asked.loop, settle)


def _call(loop: asyncio.AbstractEventLoop, what: Callable[..., None], *args: object) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody reads any more
        loop.call_soon_threadsafe(what, *args)


def _require_sound(request: Request) -> None:
    """Refuse settings that no answer can be drawn by."""
    wrong = [
        ("messages", not request.messages, "at least one message"),
        ("temperature", not 0 <= request.temperature <= 2, "0 to 2"),
        ("top_p", not 0 < request.top_p <= 1, "above 0, up to 1"),
        ("max_tokens", request.max_tokens is not None and request.max_tokens < 1, "at least 1"),
        ("top_logprobs", not 0 <= (request.top_logprobs or 0) <= 20, "0 to 20"),
        ("presence_penalty", not -2 <= request.presence_penalty <= 2, "-2 to 2"),
        ("frequency_penalty", not -2 <= request.frequency_penalty <= 2, "-2 to 2"),
        ("logit_bias", not all(-100 <= bias <= 100 for bias in request.logit_bias.values()), "-100 to 100"),
    ]
    for param, is_wrong, expected in wrong:
        if is_wrong:
            raise BadRequest(f"{param} is out of range: expected {expected}", param)
