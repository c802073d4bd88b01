"""Several answers to one prompt, with seeds in a row: equal ones counted, rates with intervals, first tokens."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from evals.intervals import wilson
from inference.transcript import Reply

COUNTS = {"×1": 1, "×8": 8, "×32": 32}
"""What the page offers: how many answers, by the name of the choice."""
MOST_SAMPLES = max(COUNTS.values())


@dataclass(frozen=True)
class Behaviour:
    """What a version was trained to do, as far as one answer shows it; ``label`` is its name for readers."""

    label: str
    is_shown_by: Callable[[str], bool]


@dataclass(frozen=True)
class Rate:
    """How many of ``n`` answers have a property, with the ends of Wilson's 95 % interval of their share."""

    label: str
    hits: int
    n: int
    low: float
    high: float


@dataclass(frozen=True)
class SampledSide:
    """One pane's answers: ``n`` that are no errors, and how many ``failed``.

    ``answers`` and ``first_tokens``: (text, count) of equal ones, most frequent first.
    """

    n: int
    failed: int
    answers: tuple[tuple[str, int], ...]
    first_tokens: tuple[tuple[str, int], ...]
    rates: tuple[Rate, ...]


@dataclass(frozen=True)
class Samples:
    """``replies[k][i]`` is the answer of pane ``i`` with seed ``first_seed + k``.

    ``first_tokens[i]``: the texts of the first tokens of pane ``i``'s answers, once all have ended.
    """

    first_seed: int
    replies: tuple[tuple[Reply, ...], ...]
    first_tokens: tuple[tuple[str, ...], ...] = ()

    @staticmethod
    def of(replies: Sequence[Reply], panes: int, first_seed: int) -> "Samples":
        """From replies as ``ModelGroup.generate`` orders them: all panes with the first seed, then with the next."""
        return Samples(first_seed, tuple(tuple(replies[at : at + panes]) for at in range(0, len(replies), panes)))

    @property
    def ended(self) -> tuple[int, int]:
        """How many answers have ended, of how many."""
        every = [reply for each in self.replies for reply in each]
        return sum(bool(reply.ended) for reply in every), len(every)

    def first_token_ids(self) -> list[list[int]]:
        """For each pane, the first token of every answer that has one."""
        panes = zip(*self.replies, strict=True)
        return [[reply.token_ids[0] for reply in pane if reply.token_ids] for pane in panes]

    def in_order(self, order: Sequence[int]) -> "Samples":
        """The same with the panes in another order."""
        replies = tuple(tuple(each[pane] for pane in order) for each in self.replies)
        tokens = self.first_tokens and tuple(self.first_tokens[pane] for pane in order)
        return Samples(self.first_seed, replies, tokens)

    def side(self, pane: int, behaviour: Behaviour | None) -> SampledSide:
        """What the answers of ``pane`` have in common; answers that failed are left out and counted."""
        found = [each[pane] for each in self.replies]
        answered = [reply for reply in found if reply.ended != "error"]
        properties = {behaviour.label: behaviour.is_shown_by} if behaviour else {}
        rates = [_rate(label, [shown(reply.text) for reply in answered]) for label, shown in properties.items()]
        rates.append(_rate("ended by itself", [reply.ended == "end" for reply in answered]))
        tokens = self.first_tokens[pane] if self.first_tokens else ()
        return SampledSide(
            len(answered),
            len(found) - len(answered),
            tuple(Counter(reply.text for reply in answered).most_common()),
            tuple(Counter(tokens).most_common()),
            tuple(rate for rate in rates if rate.n),
        )


def _rate(label: str, hits: Sequence[bool]) -> Rate:
    low, high = wilson(sum(hits), len(hits)) if hits else (0.0, 1.0)
    return Rate(label, sum(hits), len(hits), low, high)
