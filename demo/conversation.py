"""One visitor's conversation: its models, settings and exchanges, and its form as JSON."""

import json
import random
import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from data.errors import UserError
from demo.samples import Behaviour, Samples
from inference.observations import RenderedPrompt, TokenScore
from inference.transcript import Divergence, Exchange, ModelInfo, Sampling, Transcript, from_json

T = TypeVar("T")


@dataclass
class Conversation:
    """What one visitor has open. ``order[i]`` is the pane that stands at place ``i``; only blind ones are shuffled.

    ``exchange_id`` names the last exchange; ``revealed`` is true once a blind one has been voted on. ``errors``: why a
    pane's model can't answer, empty where it can. ``saved_id``: its id among the saved ones, empty until it is saved;
    ``shared_id``: that of the shared copy that it was opened from, until it goes on. ``rendered``: the last prompt as
    each pane's model read it. ``samples``: further answers to it, and ``behaviour`` what is counted in them.
    ``scores``: the tokens of each pane's last answer under two models, where ``view`` shows them; ``other_text``: the
    pane and the tokens of a pasted text, or of an answer with a token that was chosen.
    """

    references: tuple[str, ...] = ()
    models: tuple[ModelInfo, ...] = ()
    errors: tuple[str, ...] = ()
    sampling: Sampling = Sampling()
    system: str = ""
    exchanges: tuple[Exchange, ...] = ()
    order: tuple[int, ...] = ()
    blind: bool = False
    revealed: bool = False
    execution: str = ""
    voter: str = field(default_factory=lambda: uuid.uuid4().hex)
    exchange_id: str = ""
    saved_id: str = ""
    shared_id: str = ""
    rendered: tuple[RenderedPrompt | None, ...] = ()
    samples: Samples | None = None
    behaviour: Behaviour | None = None
    view: str = "words"
    scores: tuple[tuple[TokenScore, ...], ...] = ()
    other_text: tuple[int, tuple[TokenScore, ...]] | None = None
    prompt_at_s: float = 0.0
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def hidden(self) -> bool:
        """True while the page must not show which side is which."""
        return self.blind and not self.revealed

    @property
    def awaits_vote(self) -> bool:
        """Whether there are answers whose sides are hidden until a vote."""
        return self.hidden and bool(self.exchanges)

    @property
    def vote_problem(self) -> str:
        """Why no vote can be cast on the last answers; empty where one can."""
        if not self.exchanges or not self.exchange_id:
            return "send a prompt first, then vote"
        if len(self.models) != 2:
            return "votes are between two sides; remove the other columns"
        if any(reply.ended == "error" for reply in self.exchanges[-1].replies):
            return "one side could not answer, so there is nothing to choose between"
        return "your blind vote on this prompt is saved; send another prompt" if self.blind and self.revealed else ""

    @property
    def first_seed(self) -> int:
        """The first seed that the last prompt was answered with, or the one that is set."""
        last = self.exchanges[-1].seed if self.exchanges else None
        return self.sampling.seed if last is None else last

    @property
    def last_seed(self) -> int:
        """The last seed that the last prompt was answered with, or the one that is set."""
        return self.first_seed + (len(self.samples.replies) - 1 if self.samples else 0)

    def transcript(self) -> Transcript:
        """The conversation so far, as it can be saved and replayed."""
        return Transcript(self.models, self.sampling, self.exchanges, self.system)

    def begins_anew(self, chosen: tuple[str, ...], sampling: Sampling, blind: bool, system: str) -> bool:
        """Whether a prompt to ``chosen`` can't continue this conversation; another seed can."""
        same_settings = replace(sampling, seed=self.sampling.seed) == self.sampling and system == self.system
        same = same_settings and (self.references, self.blind) == (chosen, blind)
        return not same or (blind and self.revealed)

    def begin(self, chosen: tuple[str, ...], sampling: Sampling, blind: bool, system: str) -> None:
        """Make this an empty conversation of ``chosen``; a blind one gets its sides in random order."""
        self.references, self.sampling, self.blind, self.system = chosen, sampling, blind, system
        self.exchanges, self.revealed, self.exchange_id = (), False, ""
        self.forget_observations()
        self.saved_id = self.shared_id = ""
        places = list(range(len(chosen)))
        if blind:
            random.SystemRandom().shuffle(places)
        self.order = tuple(places)

    def forget_observations(self) -> None:
        """Remove what was computed beside the last answers."""
        self.rendered, self.samples, self.scores, self.other_text = (), None, (), None

    def reveal(self) -> None:
        """Put the panes of a blind conversation in the order in which they were seen, for good."""
        self.references = _in_order(self.references, self.order)
        self.models, self.errors = _in_order(self.models, self.order), _in_order(self.errors, self.order)
        self.exchanges = tuple(_reordered(each, self.order) for each in self.exchanges)
        self.rendered = _in_order(self.rendered, self.order)
        self.samples = self.samples and self.samples.in_order(self.order)
        self.scores, self.other_text = (), None
        self.order, self.revealed = tuple(range(len(self.order))), True


def _in_order(values: tuple[T, ...], order: Sequence[int]) -> tuple[T, ...]:
    return tuple(values[place] for place in order) if len(values) == len(order) else values


def _reordered(exchange: Exchange, order: Sequence[int]) -> Exchange:
    """The exchange of two panes in another order; a divergence is that from the first pane, so its sides change too."""
    if tuple(order) != (1, 0):
        return exchange
    first, other = exchange.replies
    found = exchange.divergences[1]
    turned = None
    if found:
        turned = Divergence(found.at, (found.chosen[1], found.chosen[0]), (found.tops[1], found.tops[0]))
    return replace(exchange, replies=(other, first), divergences=(None, turned))


def to_record(chat: Conversation) -> str:
    """The conversation as JSON, with all that is needed to show it as it was."""
    beside = {
        "references": chat.references,
        "order": chat.order,
        "blind": chat.blind,
        "revealed": chat.revealed,
        "execution": chat.execution,
        "exchange_id": chat.exchange_id,
        "prompt_at_s": chat.prompt_at_s,
    }
    return json.dumps({"transcript": json.loads(chat.transcript().to_json()), **beside}, ensure_ascii=False)


def from_record(text: str) -> Conversation:
    """What ``to_record`` wrote."""
    raw = json.loads(text)
    kept = from_json(json.dumps(raw.pop("transcript")))
    tuples = {name: tuple(raw.pop(name)) for name in ("references", "order")}
    return Conversation(
        **tuples, **raw, models=kept.models, sampling=kept.sampling, exchanges=kept.exchanges, system=kept.system
    )


def from_transcript(kept: Transcript) -> Conversation:
    """A conversation that goes on where ``kept`` ends.

    Raises:
        UserError: it has no messages.
    """
    if not kept.exchanges or not kept.models:
        raise UserError("this transcript has no messages")
    references = tuple(model.reference for model in kept.models)
    order = tuple(range(len(references)))
    return Conversation(references, kept.models, (), kept.sampling, kept.system, kept.exchanges, order)
