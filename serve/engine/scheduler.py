"""Continuous batching for one model: sequences decode in one batch, and new prompts are read between its steps."""

from collections import deque
from typing import Any

from data.errors import explain
from inference.batch import Batch, BatchStep, shared_length
from inference.kv_cache import ReadTokens, can_join
from inference.sampling import log_probs
from serve.engine.prefix_cache import PrefixCache
from serve.engine.sequence import ActiveSequence
from serve.engine.types import Broken, Piece

#: A sequence and what it produced: the next piece of its answer, or the error that ended it.
Output = tuple[ActiveSequence, Piece | Exception]
#: A chunk of a prompt costs about so many multiplications, so that running sequences wait for a moment only.
CHUNK_WORK = 2**34
CHUNK_TOKENS = 32, 512  # the smallest chunk and the largest
KNOWN = 4  # a known beginning is worth taking from a chunk divided by this on

NOT_A_NUMBER = "the model broke down: its logits are NaN or infinite; its weights may have diverged"


class Scheduler:
    """The sequences of ``model``. ``step`` reads a chunk of a waiting prompt and decodes a token of each that runs.

    A prompt whose beginning the model has read before, a good part of a chunk, goes on from there: ``kept`` has what
    ended answers have read, and a prompt waits while another one that begins alike is being read.
    """

    def __init__(self, model: Any, kept: PrefixCache) -> None:
        self.model, self._kept = model, kept
        work = CHUNK_WORK // max(1, sum(p.numel() for p in model.parameters()))
        least, most = CHUNK_TOKENS
        self._chunk = min(most, max(least, work))
        self._least_known = self._chunk // KNOWN
        self._can_join = can_join(model)
        self._new: deque[ActiveSequence] = deque()
        self._prefilling: deque[Batch[ActiveSequence]] = deque()
        self._running: list[Batch[ActiveSequence]] = []

    @property
    def sequences(self) -> list[ActiveSequence]:
        """All that have not ended."""
        return [*self._new, *(row for batch in (*self._prefilling, *self._running) for row in batch.rows)]

    def add(self, sequence: ActiveSequence) -> None:
        """Generate ``sequence``, beginning with the next step."""
        self._new.append(sequence)

    def step(self) -> list[Output]:
        """Decode one token of each running sequence, and read a chunk of a prompt; returns what was produced."""
        self._remove_closed()
        self._batch_new()
        running, outputs = list(self._running), []
        if self._prefilling:
            outputs += self._prefill()
        for batch in running:
            outputs += self._decode(batch)
        self._running = [batch for batch in self._running if batch.rows]
        return outputs

    def _remove_closed(self) -> None:
        """Remove the sequences whose readers have closed them."""
        self._new = deque(sequence for sequence in self._new if not sequence.answer.closed)
        for batch in (*self._prefilling, *self._running):
            batch.drop_all([i for i, sequence in enumerate(batch.rows) if sequence.answer.closed])
        self._prefilling = deque(batch for batch in self._prefilling if batch.rows)
        self._running = [batch for batch in self._running if batch.rows]

    def _batch_new(self) -> None:
        """Batch new prompts as far as they, padded to one width, are one chunk; a longer prompt is alone."""
        waiting: deque[ActiveSequence] = deque()
        while self._new:
            group, width = [self._new.popleft()], 0
            known, is_coming = self._known(group[0])
            if is_coming:
                waiting.append(group[0])
                continue
            while self._new and self._can_join and not (known or group[0].is_alone or self._new[0].is_alone):
                width = max(len(group[-1].row.prompt), len(self._new[0].row.prompt), width)
                if width * (len(group) + 1) > self._chunk:
                    break
                group.append(self._new.popleft())
            batch = Batch([sequence.row for sequence in group], group)
            if known:
                batch.take_read([known])
                group[0].answer.cached_tokens = known.count
            self._prefilling.append(batch)
        self._new = waiting

    def _known(self, sequence: ActiveSequence) -> tuple[ReadTokens | None, bool]:
        """What the model remembers of the prompt's beginning, and whether it is reading more of it for another prompt.

        A short beginning is not worth it: many short prompts are rather read together.
        """
        row = sequence.row
        if sequence.is_alone or not self._can_join or len(row.prompt) <= self._least_known:
            return None, False
        known, source = self._kept.find(row), None
        longest = max(self._least_known - 1, known.count if known else 0)
        beginning = row.prompt[:-1]
        for batch in (*self._prefilling, *self._running):
            for i, other in enumerate(batch.rows):
                alike = shared_length(beginning, other.row.prompt) if other.row.adapter is row.adapter else 0
                if alike <= longest:
                    continue
                if batch.read_of(i) < alike:
                    return None, True
                source, longest = (batch, i), alike
        if source:
            return source[0].copy_of_read(source[1], longest), False
        return (known if known and known.count >= self._least_known else None), False

    def _prefill(self) -> list[Output]:
        """Read a chunk of the first waiting prompts; those that are read whole get their first token and run."""
        batch = self._prefilling.popleft()
        alone = len(batch.rows) == 1
        try:
            first = batch.rows[0]  # where something of its prompt is wanted, it is alone
            step = batch.step(
                ActiveSequence.sampling,
                self._chunk if alone and self._can_join else 0,
                every=first.score_prompt if first.scores_prompt else None,
                hidden=first.add_hidden if first.request.embeds else None,
            )
        except Exception as error:
            if alone:
                return _fail(batch, error)
            self._prefilling.extend(Batch([row.row], [row]) for row in batch.rows)  # one by one, to find which it was
            return []
        if step is None:
            self._prefilling.append(batch)  # others are read before its next chunk
            return []
        outputs = self._outputs(batch, step)
        if batch.rows:
            self._running.append(batch)
        return outputs + self._merge()

    def _merge(self) -> list[Output]:
        """Make one batch of those that run."""
        while self._can_join and len(self._running) > 1:
            batch = self._running.pop()
            try:
                self._running[0].absorb(batch)
            except Exception as error:
                return [*_fail(batch, error), *_fail(self._running.pop(0), error)]
        return []

    def _decode(self, batch: Batch[ActiveSequence]) -> list[Output]:
        try:
            step = batch.step(ActiveSequence.sampling)
            assert step is not None
            return self._outputs(batch, step)
        except Exception as error:  # out of memory, or a forward pass that fails by itself
            return _fail(batch, error)

    def _outputs(self, batch: Batch[ActiveSequence], step: BatchStep[ActiveSequence]) -> list[Output]:
        """What each row's token adds to its answer; rows that have ended are dropped from ``batch``."""
        probs = log_probs(step.logits, step.tokens, [sequence.request.top_logprobs for sequence in step.rows])
        finite = step.logits.amax(-1).isfinite().tolist()
        outputs: list[Output] = []
        for i, (sequence, token) in enumerate(zip(step.rows, step.tokens, strict=True)):
            outputs.append((sequence, sequence.append(token, probs[i]) if finite[i] else Broken(NOT_A_NUMBER)))
        ended = [i for i, (_, each) in enumerate(outputs) if not isinstance(each, Piece) or each.ended]
        self._keep(batch, [i for i in ended if isinstance(outputs[i][1], Piece)])
        batch.drop_all(ended)
        return outputs

    def _keep(self, batch: Batch[ActiveSequence], rows: list[int]) -> None:
        """Keep what rows that have ended have read: a conversation goes on from there."""
        for i in rows:
            read, sequence = batch.read_of(i), batch.rows[i]
            if self._can_join and read > self._least_known:
                self._kept.keep(
                    sequence.row, [*sequence.row.prompt, *sequence.tokens][:read], batch.copy_of_read(i, read)
                )


def _fail(batch: Batch[ActiveSequence], error: Exception) -> list[Output]:
    """End all rows of ``batch`` by ``error``."""
    failed = list(batch.rows)
    batch.rows.clear()
    return [(sequence, broken(error)) for sequence in failed]


def broken(error: Exception) -> Broken:
    """The error of an answer that an unexpected exception ended."""
    return Broken(f"the model broke down: {explain(error)}")
