"""Votes on which of two answers is better, as plain values; win rates of versions and preference pairs from them.

``registry.votes.store`` keeps them in MLflow, ``registry.votes.outbox`` sends them there in the background.
"""

import hashlib
import json
import math
import re
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from statistics import NormalDist
from typing import Any, Literal, Self, get_args

from data.chat_template import messages_of
from data.conversation import Turns
from data.errors import UserError
from inference.transcript import ModelInfo, Reply, Sampling, Transcript

Choice = Literal["left", "right", "tie", "both_bad"]
LONGEST_COMMENT = 500
SIDES = ("left", "right")
#: Quantile of the standard normal distribution that 2.5 % lie above.
Z_95 = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class Side:
    """One side of a vote: the model (``voice``), its reply, and this side's earlier (prompt, answer) turns."""

    voice: ModelInfo
    reply: Reply
    earlier: Turns = ()


@dataclass(frozen=True)
class Vote:
    """One voter's choice between two answers to one prompt.

    ``exchange``: id of the exchange, ``voter``: a random id of the session, never personal data; a later vote with
    both the same replaces this one. ``blind``: the versions were hidden until this choice. Times are seconds since the
    epoch; ``asked_at_s`` is when the prompt was sent.

    Raises:
        UserError: the choice is none of the four, the comment is too long, or both sides are one version.
    """

    exchange: str
    voter: str
    choice: Choice
    blind: bool
    prompt: str
    left: Side
    right: Side
    sampling: Sampling
    asked_at_s: float
    cast_at_s: float = field(default_factory=time.time)
    comment: str = ""
    vote_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    system: str = ""

    def __post_init__(self) -> None:
        if self.choice not in get_args(Choice):
            raise UserError(f"a vote is one of {', '.join(get_args(Choice))}, not {str(self.choice)[:30]!r}")
        if len(self.comment) > LONGEST_COMMENT:
            raise UserError(f"a comment has at most {LONGEST_COMMENT} characters, not {len(self.comment)}")
        if self.left.voice.reference == self.right.voice.reference:
            raise UserError(f"both sides are {self.left.voice.reference}: there is nothing to choose between")

    @classmethod
    def on(cls, transcript: Transcript, panes: tuple[int, int], **rest: Any) -> Self:
        """The vote on the last exchange of ``transcript`` between two of its panes, left one first.

        ``rest``: exchange, voter, choice, blind, asked_at_s and, where there is one, the comment.
        """
        *before, last = transcript.exchanges
        left, right = (
            Side(
                transcript.models[pane],
                last.replies[pane],
                tuple((each.prompt, each.replies[pane].text) for each in before),
            )
            for pane in panes
        )
        sampling, system = transcript.sampling_of(last), transcript.system
        return cls(prompt=last.prompt, left=left, right=right, sampling=sampling, system=system, **rest)

    @property
    def versions(self) -> tuple[str, str]:
        """The references of both sides, left one first."""
        return self.left.voice.reference, self.right.voice.reference

    @property
    def trace_id(self) -> str:
        """Id of the MLflow trace that stands for the exchange as this voter saw it."""
        return "tr-" + hashlib.sha256(json.dumps([self.exchange, self.voter]).encode()).hexdigest()[:32]

    @property
    def winner(self) -> Side | None:
        """The preferred side, None where there is none."""
        return {"left": self.left, "right": self.right}.get(self.choice)

    @property
    def loser(self) -> Side | None:
        """The other side of a decided vote."""
        return {"left": self.right, "right": self.left}.get(self.choice)

    def to_json(self) -> str:
        """The vote on one line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=True)


def from_json(text: str) -> Vote:
    """What ``to_json`` wrote.

    Raises:
        ValueError: it is no vote.
    """
    try:
        raw = json.loads(text)
        sides = {name: side_of(**raw[name]) for name in SIDES}
        return Vote(**{**raw, **sides, "sampling": Sampling(**raw["sampling"])})
    except (KeyError, TypeError, UserError) as error:
        raise ValueError(f"this is no vote: {error}") from error


def side_of(voice: dict[str, Any], reply: dict[str, Any], earlier: Sequence[Sequence[str]]) -> Side:
    """A side from its JSON values."""
    parsed = Reply(**{**reply, "token_ids": tuple(reply["token_ids"])})
    return Side(ModelInfo(**voice), parsed, tuple((turn[0], turn[1]) for turn in earlier))


def messages(turns: Turns, prompt: str, system: str = "") -> list[dict[str, str]]:
    """``system`` where there is one, ``turns`` and then ``prompt`` as chat messages."""
    return [*messages_of(turns, system), {"role": "user", "content": prompt}]


def model_of(reference: str) -> str:
    """The registered model that a reference such as ``pirate/3:base`` belongs to."""
    return re.split(r"[/@:]", reference, maxsplit=1)[0]


# Win rates


@dataclass(frozen=True)
class Standing:
    """How often a version was preferred: over all its rivals, or over the one named by ``rival``.

    Ties and votes for neither are counted apart and do not enter the win rate.
    """

    version: str
    wins: int = 0
    losses: int = 0
    ties: int = 0
    both_bad: int = 0
    rival: str = ""

    @property
    def votes(self) -> int:
        """Number of votes in which it took part."""
        return self.wins + self.losses + self.ties + self.both_bad

    @property
    def win_rate(self) -> float | None:
        """Wins / (wins + losses); None where no vote decided."""
        decided = self.wins + self.losses
        return self.wins / decided if decided else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's 95 % score interval of the win rate; None where no vote decided."""
        decided = self.wins + self.losses
        if not decided:
            return None
        from scipy.stats import binomtest

        found = binomtest(self.wins, decided).proportion_ci(method="wilson")
        return float(found.low), float(found.high)

    @property
    def p_value(self) -> float | None:
        """Two-sided p of the sign test that either side is as likely to win; None where no vote decided."""
        decided = self.wins + self.losses
        if not decided:
            return None
        from scipy.stats import binomtest

        return float(binomtest(self.wins, decided).pvalue)

    @property
    def more_votes(self) -> int | None:
        """How many more deciding votes would put the interval to one side of 1/2, were the win rate what it seems.

        0 where it lies there already, None where no vote decided or both sides won as often. Wilson's interval leaves
        1/2 out from (z / (2 |rate - 1/2|))^2 votes on.
        """
        rate, decided = self.win_rate, self.wins + self.losses
        if rate is None or self.wins == self.losses:
            return None
        return max(0, math.ceil((Z_95 / (2 * abs(rate - 0.5))) ** 2) - decided)


def win_rates(votes: Iterable[Vote], blind: bool = True) -> list[Standing]:
    """One standing a version over all its rivals, most wins against losses first.

    Only blind votes count, or, with ``blind`` false, only the others: a visible label biases the choice, so the two are
    never added up.
    """
    entries = ((one, "", outcome) for vote in votes if vote.blind == blind for one, _, outcome in _outcomes(vote))
    return _standings(entries)


def head_to_head(votes: Iterable[Vote], blind: bool = True) -> list[Standing]:
    """One standing a pair of versions, of the version that won more often; most votes first."""
    entries = (entry for vote in votes if vote.blind == blind for entry in _outcomes(vote))
    found = _standings(entries)
    ahead = [each for each in found if (each.losses, each.version) < (each.wins, each.rival)]
    return sorted(ahead, key=lambda each: (-each.votes, each.version, each.rival))


def _outcomes(vote: Vote) -> Iterator[tuple[str, str, str]]:
    """(version, rival, outcome for the version), once a side."""
    left, right = vote.versions
    decided = {"left": ("wins", "losses"), "right": ("losses", "wins")}
    mine, theirs = decided.get(vote.choice, ("ties", "ties") if vote.choice == "tie" else ("both_bad", "both_bad"))
    yield left, right, mine
    yield right, left, theirs


def _standings(entries: Iterable[tuple[str, str, str]]) -> list[Standing]:
    counts: dict[tuple[str, str], dict[str, int]] = {}
    for version, rival, outcome in entries:
        count = counts.setdefault((version, rival), {})
        count[outcome] = count.get(outcome, 0) + 1
    found = [Standing(version, rival=rival, **count) for (version, rival), count in counts.items()]
    return sorted(found, key=lambda each: (-(each.win_rate if each.win_rate is not None else -1), each.version))


# Preference pairs


def no_pair(vote: Vote) -> str:
    """Why ``vote`` makes no preference pair: a few words, or an empty string where it makes one."""
    winner, loser = vote.winner, vote.loser
    if winner is None or loser is None:
        return "no answer was preferred"
    if winner.reply.ended != "end":
        return "the preferred answer was cut off"  # training on it would end answers in mid-sentence
    if not winner.reply.text.strip():
        return "the preferred answer is blank"
    if winner.reply.text.strip() == loser.reply.text.strip():
        return "both answers are the same"
    if winner.earlier != loser.earlier:
        return "the two conversations differed before"  # so the two prompts differ, too
    return ""


@dataclass(frozen=True)
class PairSelection:
    """The preference pairs of some votes: ``blind`` and ``shown`` votes were there, of which ``used`` were taken.

    ``rows``: see ``preference_pairs``. ``left_out``: the reasons why votes that were taken made no pair, and how often.
    """

    rows: tuple[dict[str, Any], ...]
    blind: int
    shown: int
    used: int
    left_out: tuple[tuple[str, int], ...]

    @property
    def line(self) -> str:
        """How many pairs there are, of which votes, and what was left out and why."""
        others = f"{self.shown} with the versions shown"
        votes = f"{self.used} votes, {others} among them" if self.used > self.blind else f"{self.blind} blind votes"
        unused = "" if self.used > self.blind or not self.shown else f"; {others} not used"
        why = ", ".join(f"{count} x {reason}" for reason, count in self.left_out)
        return f"{len(self.rows)} preference pairs of {votes}{unused}" + (f"; left out: {why}" if why else "")


def select_pairs(votes: Sequence[Vote], shown: bool = False) -> PairSelection:
    """Preference pairs of the blind votes, or with ``shown`` of all: a visible label biases the choice."""
    used = [vote for vote in votes if vote.blind or shown]
    rows = tuple(preference_pairs(used))
    left_out = Counter(reason for vote in used if (reason := no_pair(vote)))
    if repeated := len(used) - left_out.total() - len(rows):
        left_out["the same pair again"] = repeated
    blind = sum(vote.blind for vote in votes)
    return PairSelection(rows, blind, len(votes) - blind, len(used), tuple(left_out.most_common()))


def preference_pairs(votes: Iterable[Vote]) -> Iterator[dict[str, Any]]:
    """Rows of TRL's conversational preference format, one a pair of answers however often it was voted for.

    ``prompt`` holds the messages up to the question, ``chosen`` and ``rejected`` one answer each. Messages instead of
    texts, because TRL joins texts as they are and applies a chat template to messages only. ``preferred`` (the
    winner's reference), ``vote_id`` and ``voter`` are columns that trainers ignore.
    """
    seen: set[str] = set()
    for vote in votes:
        winner, loser = vote.winner, vote.loser
        if winner is None or loser is None or no_pair(vote):
            continue
        row = {
            "prompt": messages(winner.earlier, vote.prompt, vote.system),
            "chosen": [{"role": "assistant", "content": winner.reply.text.strip()}],
            "rejected": [{"role": "assistant", "content": loser.reply.text.strip()}],
        }
        key = json.dumps(row)
        if key not in seen:
            seen.add(key)
            yield {**row, "preferred": winner.voice.reference, "vote_id": vote.vote_id, "voter": vote.voter}
