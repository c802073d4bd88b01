"""The visitors' conversations: prompts, answers, limits and votes, independent of how the page shows them."""

import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING, TypeVar

from data.errors import UserError
from demo.config import DemoConfig
from demo.conversation import Conversation
from demo.conversations import ConversationStore
from demo.limits import HIGHEST_SEED, check_request, prompt_problem, sampling_problems
from demo.model_process import ModelProcess, ModelProcessClient, in_thread
from demo.samples import MOST_SAMPLES, Samples
from demo.view.html import without_folders
from inference.transcript import Exchange, ModelInfo, Sampling, Transcript
from registry.votes.votes import Vote
from serve.http.token_bucket import TokenBucket

if TYPE_CHECKING:
    from inference.model_group import ModelGroup
    from inference.model_pool import ModelPool
    from registry.votes.outbox import VoteOutbox

T = TypeVar("T")
MOST_CONVERSATIONS = 200
LONGEST_REFERENCE = 300


class ChatSessions:
    """Serves all visitors: one conversation at a time is answered, within the caps of ``config``.

    ``saved``: where conversations are kept; None keeps none.
    """

    def __init__(
        self,
        config: DemoConfig,
        models: "ModelProcess | ModelPool",
        outbox: "Callable[[], VoteOutbox]",
        saved: ConversationStore | None = None,
    ) -> None:
        self.config, self.saved = config, saved
        self._models, self._outbox = models, outbox
        self.budget = TokenBucket(config.tokens_per_minute)
        self.remote_left = config.remote_tokens
        self._lock = threading.Lock()
        self._open: OrderedDict[str, Conversation] = OrderedDict()

    def conversation(self, session: str) -> Conversation:
        """The conversation of ``session``, a new one where there is none; the least recently used is removed."""
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
            raise UserError("there is no such conversation, or it was removed; begin a new one")
        return found

    def restart(self, session: str) -> Conversation:
        """Replace the conversation of ``session`` by an empty one; the voter stays the same."""
        with self._lock:
            old = self._open.pop(session, Conversation())
            old.stop.set()
            self._open[session] = Conversation(voter=old.voter)
            return self._open[session]

    def place(self, session: str, chat: Conversation) -> None:
        """Make ``chat`` the conversation of ``session``; the voter stays the same."""
        with self._lock:
            old = self._open.pop(session, Conversation())
            old.stop.set()
            chat.voter = old.voter
            self._open[session] = chat

    def answer(
        self,
        chat: Conversation,
        references: Sequence[str],
        prompt: str,
        sampling: Sampling,
        blind: bool = False,
        system: str = "",
        samples: int = 1,
    ) -> Iterator[Exchange]:
        """Answer ``prompt`` in ``chat``; yields the exchange as it grows and keeps it once it is done.

        With more than one of ``samples``, the next seeds answer too, all in one batch: ``chat.samples`` has them, and
        the exchange is that of the first seed.

        Other references, another system prompt, other settings than the seed or another blind mode begin a new
        conversation, because earlier answers are those of the earlier models.

        Raises:
            UserError: the request is beyond the caps, or there is nothing to compare.
        """
        chosen = tuple(reference for reference in references if reference)
        if not chosen:
            raise UserError("choose a version for the left side first")
        if blind and len(chosen) != 2:
            raise UserError("blind mode compares two sides; remove the other columns")
        check_references(chosen)
        _check_system(system, self.config)
        fresh = chat.begins_anew(chosen, sampling, blind, system)
        check_request(prompt, 1 if fresh else len(chat.exchanges) + 1, len(chosen), sampling, self.config)
        _check_samples(samples, sampling)
        if fresh:  # only now: a request that is refused ends no conversation
            chat.begin(chosen, sampling, blind, system)
        group = self._described(chat, chosen)
        chat.stop = threading.Event()  # a new one: clearing the old could resume an abandoned answer
        chat.prompt_at_s = time.time()
        chat.scores, chat.other_text = (), None
        yield from self._answers(chat, group, prompt, sampling, samples)

    def choose(
        self, chat: Conversation, references: tuple[str, ...], sampling: Sampling, blind: bool, system: str = ""
    ) -> None:
        """Set the models of the conversation and load their weights; ``chat.models`` describes them afterwards."""
        if blind and len(references) != 2:
            raise UserError("blind mode compares two sides; remove the other columns")
        check_references(references)
        for problem in sampling_problems(sampling, self.config).values():
            raise UserError(problem)
        _check_system(system, self.config)
        if chat.begins_anew(references, sampling, blind, system):
            chat.begin(references, sampling, blind, system)
        self._described(chat, references[: self.config.panes])

    def _described(self, chat: Conversation, references: Sequence[str]) -> "ModelProcessClient | ModelGroup":
        """The models of ``references``, loaded; ``chat`` says which they are and why one can't answer."""
        group = self.group(references)
        chat.models, chat.execution = _without_folders(group.models), group.way
        chat.errors = tuple(without_folders(error) for error in group.errors)
        return group

    def flush_votes(self, timeout_s: float = 5.0) -> None:
        """Wait up to ``timeout_s`` until all votes are in MLflow."""
        self._outbox().flush(timeout_s)

    def group(self, chosen: Sequence[str]) -> "ModelProcessClient | ModelGroup":
        """The models of these references, loaded."""
        group = self._models.open(chosen)
        if any(group.remote) and self.config.share and self.remote_left <= 0:
            raise UserError("remote models are off on this shared page")
        return group

    def _answers(
        self,
        chat: Conversation,
        group: "ModelProcessClient | ModelGroup",
        prompt: str,
        sampling: Sampling,
        samples: int,
    ) -> Iterator[Exchange]:
        most = sampling.max_new_tokens * len(group.models) * samples
        wait_s = self.budget.take(most)
        if wait_s:
            raise UserError(f"everyone together has used this minute's tokens; try again in {wait_s:.0f} s")
        exchange, found, panes = None, None, len(group.models)
        try:
            stop, limit_s = chat.stop.is_set, self.config.seconds
            exchanges = group.generate(prompt, sampling, chat.exchanges, stop, limit_s, chat.system, samples)
            for every in in_thread(exchanges, chat.stop):
                every = _errors_without_folders(every)
                found = Samples.of(every.replies, panes, sampling.seed)
                exchange = replace(every, replies=found.replies[0], divergences=every.divergences[:panes])
                chat.samples = found if samples > 1 else None
                yield exchange
        finally:
            used, remote = self._used(group, found)
            self.remote_left -= remote
            self.budget.correct(most, min(most, used + remote))
        assert exchange and found
        if samples > 1:
            chat.samples = replace(found, first_tokens=group.token_texts(found.first_token_ids()))
        chat.rendered = group.rendered(prompt, chat.exchanges, chat.system, sampling.max_new_tokens)
        if any(reply.ended != "error" for reply in exchange.replies):
            seed = None if sampling.seed == chat.sampling.seed else sampling.seed
            chat.exchanges = (*chat.exchanges, replace(exchange, seed=seed))
            chat.exchange_id = uuid.uuid4().hex
            if self.saved:
                self.saved.save(chat)

    def _used(self, group: "ModelProcessClient | ModelGroup", found: Samples | None) -> tuple[int, int]:
        """Tokens of local answers, and at most how many of remote ones: four characters a token, at least one."""
        replies = found.replies if found else ()
        used = sum(len(reply.token_ids) for each in replies for reply in each)
        pairs = [pair for each in replies for pair in zip(group.remote, each, strict=True)]
        return used, sum(1 + len(reply.text) // 4 for remote, reply in pairs if remote)

    def remove_last(self, chat: Conversation) -> str:
        """Remove the last exchange and return its prompt, to be sent again or edited."""
        if not chat.exchanges:
            raise UserError("this conversation has no messages yet")
        *before, last = chat.exchanges
        chat.exchanges, chat.exchange_id = tuple(before), ""
        chat.forget_observations()
        return last.prompt

    def next_seed(self, chat: Conversation, seed: int) -> int:
        """The seed with which the last prompt is answered once more: the one that is set, or the next after its own."""
        if not chat.exchanges or not chat.first_seed <= seed <= chat.last_seed:
            return seed
        return (chat.last_seed + 1) % (HIGHEST_SEED + 1)

    def regenerate(
        self,
        chat: Conversation,
        references: Sequence[str],
        sampling: Sampling,
        blind: bool = False,
        system: str = "",
        samples: int = 1,
    ) -> Iterator[Exchange]:
        """Answer the last prompt once more, as ``answer`` does; where that is refused, the conversation stays.

        Raises:
            UserError: as ``answer``, or there is no prompt yet.
        """
        kept = chat.exchanges, chat.exchange_id, chat.rendered, chat.samples
        prompt = self.remove_last(chat)
        try:
            yield from self.answer(chat, references, prompt, sampling, blind, system, samples)
        except UserError:
            chat.exchanges, chat.exchange_id, chat.rendered, chat.samples = kept
            raise

    def vote(self, chat: Conversation, choice: str, comment: str = "") -> None:
        """Save a vote on the last exchange; ``left`` and ``right`` are the sides as the visitor saw them.

        Raises:
            UserError: there is nothing to vote on, a blind vote was cast already, or no such choice.
        """
        if chat.vote_problem:
            raise UserError(chat.vote_problem)
        panes = (chat.order[0], chat.order[1])
        vote = Vote.on(
            chat.transcript(),
            panes,
            exchange=chat.exchange_id,
            voter=chat.voter,
            choice=choice,
            blind=chat.hidden,
            asked_at_s=chat.prompt_at_s,
            comment=comment,
        )
        self._outbox().add(vote)
        chat.reveal()
        if self.saved:
            self.saved.save(chat)

    def self_check(self, references: Sequence[str], sampling: Sampling, prompt: str) -> tuple[Transcript, bool]:
        """The first model in two panes: (transcript, whether both answers are equal in every token)."""
        chat = Conversation()
        first = next((reference for reference in references if reference), "")
        for _ in self.answer(chat, (first, first), prompt, sampling):
            pass
        if not chat.exchanges:
            raise UserError("the self-check got no answer: choose a version that can answer")
        one, other = chat.exchanges[-1].replies
        return chat.transcript(), one.token_ids == other.token_ids and one.text == other.text


def _check_system(system: object, limits: DemoConfig) -> None:
    problem = prompt_problem(system, limits) if system else ""
    if problem:
        raise UserError(problem.replace("the prompt", "the system prompt"))


def _check_samples(samples: object, sampling: Sampling) -> None:
    if not isinstance(samples, int) or not 1 <= samples <= MOST_SAMPLES:
        raise UserError(f"a prompt is answered 1 to {MOST_SAMPLES} times")
    if sampling.seed + samples - 1 > HIGHEST_SEED:
        raise UserError(f"{samples} seeds from {sampling.seed} on go past the highest, {HIGHEST_SEED}; set a lower one")


def check_references(references: Sequence[object]) -> None:
    """Refuse what can name no version, whatever kind of value has arrived.

    Raises:
        UserError: one of them is no text, or a very long one.
    """
    for reference in references:
        if not isinstance(reference, str) or len(reference) > LONGEST_REFERENCE:
            raise UserError("a version is named by a short text such as pirate/3 or pirate/3:base")


def folder_name(model: str) -> str:
    """A base model's name; of one that is named by its folder, the folder's own, for visitors need not know more."""
    return PurePath(model).name if model.startswith(("/", "~", ".")) else model


def _without_folders(models: Sequence[ModelInfo]) -> tuple[ModelInfo, ...]:
    return tuple(replace(model, base_model=folder_name(model.base_model)) for model in models)


def _errors_without_folders(exchange: Exchange) -> Exchange:
    """The same with the folders left out of what went wrong: strangers read it."""
    replies = (replace(r, error=without_folders(r.error)) if r.error else r for r in exchange.replies)
    return replace(exchange, replies=tuple(replies))
