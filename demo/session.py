"""Where comparisons are made: conversations, limits and votes, with nothing of the page's look in it."""

import random
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, TypeVar

from data.errors import UserError
from demo.config import DemoConfig
from demo.limits import check_request, sampling_problems
from demo.model_process import ModelProcess, ModelProcessClient, in_thread
from demo.view.html import without_folders
from inference.transcript import Exchange, ModelInfo, Sampling, Transcript
from registry.votes.votes import Vote
from serve.http.token_bucket import TokenBucket

if TYPE_CHECKING:
    from inference.model_pool import ModelGroup, ModelPool
    from registry.votes.outbox import VoteOutbox

T = TypeVar("T")
MOST_CONVERSATIONS = 200
LONGEST_REFERENCE = 300


@dataclass
class Conversation:
    """What one visitor has open. ``order[i]`` is the pane that stands at place ``i``; only blind ones are shuffled.

    ``exchange_id`` names the last exchange; ``revealed`` is true once a blind one has been voted on.
    """

    references: tuple[str, ...] = ()
    voices: tuple[ModelInfo, ...] = ()
    sampling: Sampling = Sampling()
    exchanges: tuple[Exchange, ...] = ()
    order: tuple[int, ...] = ()
    blind: bool = False
    revealed: bool = False
    way: str = ""
    voter: str = field(default_factory=lambda: uuid.uuid4().hex)
    exchange_id: str = ""
    asked_at_s: float = 0.0
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def hidden(self) -> bool:
        """True while nothing may tell which side is which."""
        return self.blind and not self.revealed

    def transcript(self) -> Transcript:
        """Everything said so far, as it can be kept and played again."""
        return Transcript(self.voices, self.sampling, self.exchanges)


class ChatSessions:
    """Serves all visitors: one conversation at a time is answered, within the caps of ``config``."""

    def __init__(self, config: DemoConfig, models: "ModelProcess | ModelPool", box: "Callable[[], VoteOutbox]"):
        self.config = config
        self._models, self._box = models, box
        self.budget = TokenBucket(config.tokens_per_minute)
        self.remote_left = config.remote_tokens
        self._lock = threading.Lock()
        self._open: OrderedDict[str, Conversation] = OrderedDict()

    def conversation(self, session: str) -> Conversation:
        """The conversation of ``session``, a new one where there is none; the longest untouched make room."""
        with self._lock:
            found = self._open.setdefault(session, Conversation())
            self._open.move_to_end(session)
            while len(self._open) > MOST_CONVERSATIONS:
                self._open.popitem(last=False)
            return found

    def known(self, session: str) -> Conversation:
        """The conversation of ``session``.

        Raises:
            UserError: there is none.
        """
        with self._lock:
            found = self._open.get(session)
        if found is None:
            raise UserError("there is no such conversation, or it was put away; begin a new one")
        return found

    def restart(self, session: str) -> Conversation:
        """An empty conversation in the place of the old one, which ends; the voter stays the same."""
        with self._lock:
            old = self._open.pop(session, Conversation())
            old.stop.set()
            self._open[session] = Conversation(voter=old.voter)
            return self._open[session]

    def ask(
        self, talk: Conversation, references: Sequence[str], prompt: str, sampling: Sampling, blind: bool = False
    ) -> Iterator[Exchange]:
        """Answer ``prompt`` in ``talk``; yields the exchange as it grows and keeps it once it is done.

        Other references, settings or a changed blind mode begin the conversation anew: what was said belongs to
        those who said it.

        Raises:
            UserError: the request is beyond the caps, or there is nothing to compare.
        """
        chosen = tuple(reference for reference in references if reference)
        if not chosen:
            raise UserError("choose a version for the left side first")
        if blind and len(chosen) != 2:
            raise UserError("blind mode compares two sides; take the other columns away")
        check_references(chosen)
        fresh = _begins_anew(talk, chosen, sampling, blind)
        check_request(prompt, 1 if fresh else len(talk.exchanges) + 1, len(chosen), sampling, self.config)
        if fresh:  # only now: a request that is refused ends no conversation
            _begin(talk, chosen, sampling, blind)
        panel = self._panel(chosen)
        talk.voices, talk.way = _without_folders(panel.voices), panel.way
        talk.stop = threading.Event()  # its own: clearing the old one could wake an answer that was given up
        talk.asked_at_s = time.time()
        yield from self._answers(talk, panel, prompt, sampling)

    def choose(self, talk: Conversation, references: tuple[str, ...], sampling: Sampling, blind: bool) -> None:
        """Let ``references`` speak from now on; their weights are loaded now, and what they are is known after."""
        if blind and len(references) != 2:
            raise UserError("blind mode compares two sides; take the other columns away")
        check_references(references)
        for problem in sampling_problems(sampling, self.config).values():
            raise UserError(problem)
        if _begins_anew(talk, references, sampling, blind):
            _begin(talk, references, sampling, blind)
        panel = self._panel(references[: self.config.panes])
        talk.voices, talk.way = _without_folders(panel.voices), panel.way

    def deliver_votes(self, patience_s: float = 5.0) -> None:
        """Wait a moment for votes that are still on their way to MLflow."""
        self._box().flush(patience_s)

    def _panel(self, chosen: Sequence[str]) -> "ModelProcessClient | ModelGroup":
        panel = self._models.open(chosen)
        if any(panel.remote) and self.config.share and self.remote_left <= 0:
            raise UserError("remote models are off on this shared page")
        return panel

    def _answers(
        self, talk: Conversation, panel: "ModelProcessClient | ModelGroup", prompt: str, sampling: Sampling
    ) -> Iterator[Exchange]:
        most = sampling.max_new_tokens * len(panel.voices)
        wait_s = self.budget.take(most)
        if wait_s:
            raise UserError(f"everyone together has used this minute's tokens; try again in {wait_s:.0f} s")
        exchange = None
        try:
            asking = panel.ask(prompt, sampling, talk.exchanges, talk.stop.is_set, self.config.seconds)
            for exchange in in_thread(asking, talk.stop):
                exchange = _errors_without_folders(exchange)
                yield exchange
        finally:
            used = sum(len(reply.token_ids) for reply in exchange.replies) if exchange else 0
            remote = self._remote_tokens(panel, exchange)
            self.remote_left -= remote
            self.budget.correct(most, min(most, used + remote))
        assert exchange
        if any(reply.ended != "error" for reply in exchange.replies):
            talk.exchanges = (*talk.exchanges, exchange)
            talk.exchange_id = uuid.uuid4().hex

    def _remote_tokens(self, panel: "ModelProcessClient | ModelGroup", exchange: Exchange | None) -> int:
        """An upper bound of what remote panes have answered with: four characters a token, at least one each."""
        if exchange is None:
            return 0
        pairs = zip(panel.remote, exchange.replies, strict=True)
        return sum(1 + len(reply.text) // 4 for remote, reply in pairs if remote)

    def take_back(self, talk: Conversation) -> str:
        """Remove the last exchange and return its prompt, to be sent again or edited."""
        if not talk.exchanges:
            raise UserError("nothing was said yet")
        *before, last = talk.exchanges
        talk.exchanges, talk.exchange_id = tuple(before), ""
        return last.prompt

    def again(
        self, talk: Conversation, references: Sequence[str], sampling: Sampling, blind: bool = False
    ) -> Iterator[Exchange]:
        """Answer the last prompt once more, as ``ask`` does; where that is refused, what was said stays.

        Raises:
            UserError: as ``ask``, or nothing was said yet.
        """
        kept = talk.exchanges, talk.exchange_id
        prompt = self.take_back(talk)
        try:
            yield from self.ask(talk, references, prompt, sampling, blind)
        except UserError:
            talk.exchanges, talk.exchange_id = kept
            raise

    def vote(self, talk: Conversation, choice: str, comment: str = "") -> None:
        """Cast a vote on the last exchange; ``left`` and ``right`` are the places that the visitor saw.

        Raises:
            UserError: there is nothing to vote on, or no such choice.
        """
        if not talk.exchanges or not talk.exchange_id:
            raise UserError("ask something first, then vote")
        if len(talk.voices) != 2:
            raise UserError("votes are between two sides; take the other columns away")
        if any(reply.ended == "error" for reply in talk.exchanges[-1].replies):
            raise UserError("one side could not answer, so there is nothing to choose between")
        panes = (talk.order[0], talk.order[1])
        vote = Vote.on(
            talk.transcript(),
            panes,
            exchange=talk.exchange_id,
            voter=talk.voter,
            choice=choice,
            blind=talk.hidden,
            asked_at_s=talk.asked_at_s,
            comment=comment,
        )
        self._box().add(vote)
        talk.revealed = True

    def self_check(self, references: Sequence[str], sampling: Sampling, prompt: str) -> tuple[Transcript, bool]:
        """The first voice against itself, as two panes: (what both said, whether it was the same to the last token)."""
        talk = Conversation()
        first = next((reference for reference in references if reference), "")
        for _ in self.ask(talk, (first, first), prompt, sampling):
            pass
        if not talk.exchanges:
            raise UserError("the self-check got no answer: choose a version that can speak")
        one, other = talk.exchanges[-1].replies
        return talk.transcript(), one.token_ids == other.token_ids and one.text == other.text


def check_references(references: Sequence[object]) -> None:
    """Refuse what can name no version, whatever kind of value has arrived.

    Raises:
        UserError: one of them is no text, or a very long one.
    """
    for reference in references:
        if not isinstance(reference, str) or len(reference) > LONGEST_REFERENCE:
            raise UserError("a version is named by a short text such as pirate/3 or pirate/3:base")


def _begins_anew(talk: Conversation, chosen: tuple[str, ...], sampling: Sampling, blind: bool) -> bool:
    """Whether a prompt to ``chosen`` can't go on with what was said in ``talk``."""
    same = (talk.references, talk.sampling, talk.blind) == (chosen, sampling, blind)
    return not same or (blind and talk.revealed)


def _begin(talk: Conversation, chosen: tuple[str, ...], sampling: Sampling, blind: bool) -> None:
    talk.references, talk.sampling, talk.blind = chosen, sampling, blind
    talk.exchanges, talk.revealed = (), False
    places = list(range(len(chosen)))
    if blind:
        random.SystemRandom().shuffle(places)
    talk.order = tuple(places)


def folder_name(model: str) -> str:
    """A base model's name; of one that is named by its folder, the folder's own, for visitors need not know more."""
    return PurePath(model).name if model.startswith(("/", "~", ".")) else model


def _without_folders(voices: Sequence[ModelInfo]) -> tuple[ModelInfo, ...]:
    return tuple(replace(voice, base_model=folder_name(voice.base_model)) for voice in voices)


def _errors_without_folders(exchange: Exchange) -> Exchange:
    """The same with the folders left out of what went wrong: strangers read it."""
    replies = (replace(r, error=without_folders(r.error)) if r.error else r for r in exchange.replies)
    return replace(exchange, replies=tuple(replies))
