"""The answers of all panes to one prompt: local models token by token, remote ones as their pieces come."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from data.chat_format import control_tokens, stop_token_ids
from data.chat_template import (
    Turns,
    messages_of,
    prompt_ids,
    visible_text,
)
from data.errors import DataError, UserError, explain
from inference import remote
from inference.batch import BatchRow
from inference.lockstep import Step, decode
from inference.lora import LoraAdapter
from inference.transcript import Divergence, Exchange, ModelInfo, Reply, Sampling

#: A conversation as (role, text), roles system, user and assistant; any order.
Messages = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class LoadedModel:
    """A model that is ready to answer, or the reason why it is not (``error``; ``info`` then has the reference only).

    ``alone``: why it is a model of its own and no row of its base's batch; empty where it is one. ``remote``: model id
    and address of a remote one. ``template``: Jinja source of its chat template, empty for its tokenizer's.
    ``stop_token_ids``: the tokens that its version names as ends of an answer; none where it names none.
    """

    info: ModelInfo
    model: Any = None
    adapter: LoraAdapter | None = None
    tokenizer: Any = None
    template: str = ""
    alone: str = ""
    remote: tuple[str, str] | None = None
    error: str = ""
    stop_token_ids: frozenset[int] = frozenset()

    @property
    def ends(self) -> frozenset[int]:
        """The tokens that end an answer: see ``data.chat_format.stop_token_ids``, and those that its version names."""
        with own_template(self) as tokenizer:
            try:
                return self.stop_token_ids | stop_token_ids(tokenizer, self.model)
            except DataError:  # the template can't be used; the answer will say so
                return frozenset({tokenizer.eos_token_id})


class Generation:
    """The answers of ``loaded`` to one prompt, as they grow; with several ``seeds``, of all panes with each of them.

    Reply ``k * panes + i`` is that of pane ``i`` with ``seeds[k]``. ``prefix``: tokens with which the answer of the
    only pane begins; they are not generated.

    ``begin``, then ``advance`` and ``listen`` until ``ended``; ``close`` at the end, whatever happened. The models may
    be used by nobody else while it is made, during ``begin`` and during ``advance``; between those they are free.
    """

    def __init__(
        self,
        loaded: Sequence[LoadedModel],
        prompt: str,
        sampling: Sampling,
        history: Sequence[Exchange],
        stop: Callable[[], bool],
        limit_s: float,
        system: str,
        seeds: Sequence[int] = (),
        prefix: Sequence[int] = (),
    ) -> None:
        if any(len(exchange.replies) != len(loaded) for exchange in history):
            raise UserError(f"the history is of other models than these {len(loaded)}")
        self.prompt, self.sampling, self.system, self.seeds = prompt, sampling, system, seeds or [sampling.seed]
        self.panes, self.loaded = len(loaded), [*loaded] * len(self.seeds)
        self.history, self.stop, self.limit_s, self.prefix = history, stop, limit_s, prefix
        self.start = time.perf_counter()
        self.replies = [Reply("", (), "", None, 0.0) for _ in self.loaded]
        self.tokens: list[list[int]] = [[*prefix] for _ in self.loaded]
        self.divergences: list[Divergence | None] = [None] * len(self.loaded)
        ends = [each.ends if each.tokenizer else frozenset() for each in loaded]
        self._ends = ends * len(self.seeds)
        self._streams: dict[int, remote.Stream] = {}
        self._panes: list[int] = []  # those decoded here; row r of a step is pane _panes[r]
        self._steps: Iterator[Step] | None = None

    @property
    def ended(self) -> bool:
        """Whether every reply has ended."""
        return all(reply.ended for reply in self.replies)

    @property
    def is_local(self) -> bool:
        """Whether ``advance`` has anything left to do."""
        return self._steps is not None

    @property
    def exchange(self) -> Exchange:
        """The prompt and the replies so far."""
        return Exchange(self.prompt, tuple(self.replies), tuple(self.divergences))

    def begin(self) -> None:
        """Start the remote answers, and read the prompt for the others."""
        lines = []
        for i, loaded in enumerate(self.loaded):
            pane, seed = i % self.panes, self.seeds[i // self.panes]
            turns = turns_of(self.history, pane)
            if loaded.error:
                self._end(i, "error", loaded.error)
            elif loaded.remote:
                messages = messages_of((*turns, (self.prompt, "")), self.system)[:-1]
                sampling = replace(self.sampling, seed=seed)
                self._streams[i] = remote.Stream(loaded.remote, messages, sampling, self.limit_s)
            else:
                try:
                    lines.append(self._line(i, turns))
                    self._panes.append(i)
                except Exception as error:  # a chat template is a program that came with the model
                    self._end(i, "error", explain(error))
        if lines:
            seeds = [self.seeds[i // self.panes] for i in self._panes]
            turn, start = len(self.history), len(self.prefix)
            self._steps = decode(lines, self.sampling, turn=turn, seeds=seeds, start=start)

    def _line(self, i: int, turns: Turns) -> BatchRow:
        loaded = self.loaded[i]
        refuse_control_tokens(loaded, (self.prompt, self.system, *(prompt for prompt, _ in turns)))
        ids = chat_ids(loaded, turns, self.prompt, self.system)
        require_known(loaded, ids)
        return BatchRow(loaded.model, loaded.adapter, [*ids, *self.prefix], self._ends[i])

    def advance(self, frame_s: float) -> None:
        """Decode for ``frame_s`` seconds, or until all local replies have ended; the very first token comes alone."""
        until = time.perf_counter() + (frame_s if any(self.tokens) else 0)
        while self._steps is not None:
            over = self._over()
            step = None if over else next(self._steps, None)
            if step is None:
                self._steps = None
                for i in self._panes:
                    self._end(i, over or "length")
                break
            self._take(step)
            if time.perf_counter() >= until:
                break
        for i in self._panes:
            reply = self.replies[i]
            text = _text(self.loaded[i], self.tokens[i], self._ends[i], bool(reply.ended))
            self.replies[i] = replace(reply, text=text, token_ids=tuple(self.tokens[i]))

    def listen(self, wait_s: float = 0.0) -> bool:
        """Take in what has come from remote models, waiting up to ``wait_s`` seconds; returns whether anything came."""
        before = list(self.replies)
        over = self._over() if self._streams else ""
        for i, stream in list(self._streams.items()):
            stream.read(0.0 if over else wait_s)
            self.replies[i] = stream.reply
            if over:
                self._end(i, over)
            if self.replies[i].ended:
                stream.close()
                del self._streams[i]
        return self.replies != before

    def close(self) -> None:
        """Stop generating."""
        self._steps = None
        for stream in self._streams.values():
            stream.close()

    def _take(self, step: Step) -> None:
        now = time.perf_counter() - self.start
        for row, i in enumerate(self._panes):
            token = step.tokens[row]
            if row in step.failed:
                self._end(i, "error", explain(step.failed[row]))
            if token is None:
                continue
            self.tokens[i].append(token)
            reply = self.replies[i]
            first = now if reply.first_token_s is None else reply.first_token_s
            self.replies[i] = replace(reply, first_token_s=first, seconds=now)
            if 0 < i < self.panes and self._panes[0] == 0 and self.divergences[i] is None:
                self.divergences[i] = self._divergence(step, row, i)
            if token in self._ends[i]:
                self._end(i, "end")

    def _divergence(self, step: Step, row: int, i: int) -> Divergence | None:
        """The divergence of pane ``i`` from the first pane, if it is here. An earlier end is a divergence, too.

        The two can have different tokenizers, and then the same token is one that is written or read the same.
        """
        theirs, ours = step.tokens[0], step.tokens[row]
        if theirs is None or ours is None:
            return None
        first, own = self.loaded[0].tokenizer, self.loaded[i].tokenizer
        texts = first.decode([theirs]), own.decode([ours])
        same = first.convert_ids_to_tokens(theirs) == own.convert_ids_to_tokens(ours)
        if first is not own and "\ufffd" not in texts[0]:  # half a character has no text to compare
            same = same or texts[0] == texts[1]
        ends = theirs in self._ends[0], ours in self._ends[i]
        if all(ends) or (same and not any(ends)):
            return None
        return Divergence(len(self.tokens[i]) - 1, texts, (_top(step, 0, first), _top(step, row, own)))

    def _over(self) -> str:
        """Why everything must end now; empty while it may go on."""
        if self.stop():
            return "stopped"
        return "time" if time.perf_counter() - self.start > self.limit_s else ""

    def _end(self, i: int, how: str, error: str = "") -> None:
        if not self.replies[i].ended:
            seconds = self.replies[i].seconds or time.perf_counter() - self.start
            self.replies[i] = replace(self.replies[i], ended=how, error=error, seconds=seconds)


def turns_of(history: Sequence[Exchange], pane: int) -> Turns:
    """The finished turns of ``pane``; those that it could not answer are left out."""
    return tuple((each.prompt, each.replies[pane].text) for each in history if not each.replies[pane].error)


def chat_ids(loaded: LoadedModel, turns: Turns, prompt: str, system: str = "") -> list[int]:
    """The prompt's token ids as this version was trained to read them.

    The tokenizer is changed meanwhile: only one thread at a time may use it.
    """
    with own_template(loaded) as tokenizer:
        return prompt_ids(tokenizer, turns, prompt, system)


@contextmanager
def own_template(loaded: LoadedModel) -> Iterator[Any]:
    """The model's tokenizer with this version's chat template; other versions use it with theirs."""
    tokenizer = loaded.tokenizer
    own, tokenizer.chat_template = tokenizer.chat_template, loaded.template or tokenizer.chat_template
    try:
        yield tokenizer
    finally:
        tokenizer.chat_template = own


def refuse_control_tokens(loaded: LoadedModel, texts: Iterable[str]) -> None:
    """Raise ``UserError`` where one of ``texts`` holds the name of a control token."""
    with own_template(loaded) as tokenizer:
        pattern = control_tokens(tokenizer)
    for text in texts:
        found = pattern.search(text)
        if found:
            raise UserError(f"the prompt holds {found[0]}, which this model reads as a control token")


def require_known(loaded: LoadedModel, ids: Sequence[int]) -> None:
    """Raise ``UserError`` where one of ``ids`` is no token of the model."""
    if max(ids) >= loaded.model.get_input_embeddings().weight.shape[0]:
        raise UserError("its tokenizer is not its model's: it makes tokens that the model does not know")


def _text(loaded: LoadedModel, tokens: Sequence[int], ends: Set[int], ended: bool) -> str:
    kept = tokens[:-1] if tokens and tokens[-1] in ends else tokens
    with own_template(loaded) as tokenizer:
        text = visible_text(tokenizer, kept)
    return text.strip() if ended else text.rstrip("\ufffd").lstrip()  # half a character is shown once it is whole


def _top(step: Step, row: int, tokenizer: Any) -> tuple[tuple[str, float], ...]:
    return tuple((tokenizer.decode([token]), round(p, 4)) for token, p in step.likeliest(row))
