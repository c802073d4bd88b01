"""All answers of one model: those that run in one batch, and newcomers whose prompts are read between its steps."""

from collections import deque
from typing import Any

import torch
from torch import Tensor

from data.errors import explain
from inference.batch import Batch
from inference.kv_cache import can_join
from inference.sampling import draw
from serve.engine.sequence import ActiveSequence
from serve.engine.text_stream import TokenProbability
from serve.engine.types import Broken, Piece

#: What a seat's reader is told.
News = tuple[ActiveSequence, Piece | Exception]
#: Prompts are read in parts of about so many multiplications, so that the answers that run wait for a moment only.
READ_WORK = 2**32
READ_TOKENS = 32, 512  # the smallest part and the largest


NOT_A_NUMBER = "the model broke down: its numbers are none any more; its weights may have diverged"


class Scheduler:
    """The answers of ``model``. ``turn`` reads a part of a prompt, and adds a token to each that runs."""

    def __init__(self, model: Any):
        self.model = model
        work = READ_WORK // max(1, sum(p.numel() for p in model.parameters()))
        least, most = READ_TOKENS
        self._part = min(most, max(least, work))
        self._can_join = can_join(model)
        self._new: deque[ActiveSequence] = deque()
        self._reading: deque[Batch[ActiveSequence]] = deque()
        self._running: list[Batch[ActiveSequence]] = []

    @property
    def seats(self) -> list[ActiveSequence]:
        """Everyone."""
        return [*self._new, *(seat for batch in (*self._reading, *self._running) for seat in batch.rows)]

    def add(self, seat: ActiveSequence) -> None:
        """Answer ``seat``, too."""
        self._new.append(seat)

    def turn(self) -> list[News]:
        """What everyone is told after one more token."""
        self._sweep()
        self._board()
        running, news = list(self._running), []
        if self._reading:
            news += self._read()
        for batch in running:
            news += self._step(batch)
        self._running = [batch for batch in self._running if batch.rows]
        return news

    def _sweep(self) -> None:
        """Let those go who want no more."""
        self._new = deque(seat for seat in self._new if not seat.answer.closed)
        for batch in (*self._reading, *self._running):
            for i in reversed(range(len(batch.rows))):
                if batch.rows[i].answer.closed:
                    batch.drop(i)
        self._reading = deque(batch for batch in self._reading if batch.rows)
        self._running = [batch for batch in self._running if batch.rows]

    def _board(self) -> None:
        """Put newcomers together as far as they, padded to one width, are one part; a longer prompt is alone."""
        while self._new:
            group, width = [self._new.popleft()], 0
            while self._new and self._can_join:
                width = max(len(group[-1].line.prompt), len(self._new[0].line.prompt), width)
                if width * (len(group) + 1) > self._part:
                    break
                group.append(self._new.popleft())
            self._reading.append(Batch([seat.line for seat in group], group))

    def _read(self) -> list[News]:
        """Read a part of the prompts whose turn it is; those that are read whole get their first token and run."""
        batch = self._reading.popleft()
        try:
            logits = batch.read(self._part if len(batch.rows) == 1 and self._can_join else 0)
        except Exception as error:
            if len(batch.rows) == 1:
                return _fail(batch, error)
            self._reading.extend(Batch([seat.line], [seat]) for seat in batch.rows)  # whom of them it was is found out
            return []
        if logits is None:
            self._reading.append(batch)  # others are read before its next part
            return []
        news = self._take(batch, logits)
        if batch.rows:
            self._running.append(batch)
        return news + self._join()

    def _join(self) -> list[News]:
        """Make one batch of those that run."""
        while self._can_join and len(self._running) > 1:
            batch = self._running.pop()
            try:
                self._running[0].absorb(batch)
            except Exception as error:
                return [*_fail(batch, error), *_fail(self._running.pop(0), error)]
        return []

    def _step(self, batch: Batch[ActiveSequence]) -> list[News]:
        try:
            logits = batch.read()
            assert logits is not None
            return self._take(batch, logits)
        except Exception as error:  # without memory, or with a forward of its own mind
            return _fail(batch, error)

    @torch.inference_mode()
    def _take(self, batch: Batch[ActiveSequence], logits: Tensor) -> list[News]:
        """Draw a token for each row, and let those go that have ended."""
        seats = list(batch.rows)
        scores = logits
        for i, seat in enumerate(seats):
            if seat.addend is not None:
                scores = logits.clone() if scores is logits else scores
                scores[i] += seat.addend
        chosen = draw(scores, [seat.draw() for seat in seats])
        chances = _chances(logits, chosen, seats)
        sound = logits.amax(-1).isfinite().tolist()
        pieces: list[News] = []

        def ended(i: int) -> bool:
            piece = seats[i].take(chosen[i], chances.get(i)) if sound[i] else Broken(NOT_A_NUMBER)
            pieces.append((seats[i], piece))
            return not isinstance(piece, Piece) or bool(piece.ended)

        batch.accept(chosen, ended)
        return pieces


def _chances(logits: Tensor, chosen: list[int], seats: list[ActiveSequence]) -> dict[int, TokenProbability]:
    """For the rows whose readers want log-probabilities: that of the chosen token, and the likeliest."""
    rows = [i for i, seat in enumerate(seats) if seat.request.top_logprobs is not None]
    if not rows:
        return {}
    logprobs = logits[rows].float().log_softmax(-1)
    own = logprobs.gather(-1, torch.tensor([[chosen[i]] for i in rows], device=logits.device))[:, 0].tolist()
    most = max(seats[i].request.top_logprobs or 0 for i in rows)
    top = logprobs.topk(min(most, logprobs.shape[-1]))
    tokens, values = top.indices.tolist(), top.values.tolist()
    found = {}
    for at, i in enumerate(rows):
        count = seats[i].request.top_logprobs or 0
        found[i] = TokenProbability(own[at], list(zip(tokens[at][:count], values[at][:count], strict=True)))
    return found


def _fail(batch: Batch[ActiveSequence], error: Exception) -> list[News]:
    """The end of all in ``batch``."""
    seats = list(batch.rows)
    batch.rows.clear()
    return [(seat, broken(error)) for seat in seats]


def broken(error: Exception) -> Broken:
    """What a reader is told of an error that nobody foresaw."""
    return Broken(f"the model broke down: {explain(error)}")
