"""Comparisons of two answers to one prompt by a model, the judge: both orders, ties, position bias.

A judge is shown the prompt with both answers twice, each answer first once (Zheng et al. 2023, arXiv:2306.05685). An
answer is preferred where it is chosen in one order and the other is not chosen in the second.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from evals.metric import flags
from evals.paired import Difference, difference

#: What the judge replies: the first answer, the second one, neither.
LETTERS = ("A", "B", "C")
#: From prompts to one of ``LETTERS`` each, or an empty text where the reply is none of them.
Judge = Callable[[Sequence[str]], list[str]]
LETTER = re.compile(r"\b([ABC])\b")
PROMPT = """\
Compare two answers to the same prompt and decide which is better: more correct, more helpful, and what was asked for.

Prompt:
{prompt}

Answer A:
{first}

Answer B:
{second}

Which answer is better? Reply with one letter: A or B, or C if both are equally good."""


@dataclass(frozen=True)
class Judgement:
    """What the judge replied in both orders, as one of ``LETTERS``; an empty text where a reply is none of these.

    ``straight``: the base's answer came first. ``reversed``: it came second.
    """

    straight: str
    reversed: str

    @property
    def is_valid(self) -> bool:
        """Whether both replies can be read."""
        return bool(self.straight and self.reversed)

    @property
    def value(self) -> float:
        """For the tuned model, the second in ``straight``: 1 preferred, 0 not, 0.5 a tie."""
        return (1 + np.sign(self._net("B", "A"))) / 2

    @property
    def position(self) -> int:
        """1 where the answer that comes first is preferred in whichever order, -1 the one that comes second, else 0."""
        return int(np.sign(self._net("A", "A")))

    @property
    def changes(self) -> bool:
        """Whether the two orders have different outcomes."""
        return {"A": "B", "B": "A"}.get(self.straight, self.straight) != self.reversed

    def _net(self, straight: str, reversed: str) -> int:
        """Over both orders, how often the given letter was chosen less how often the other one was."""
        return sum(
            (reply == letter) - (reply in "AB" and reply != letter)
            for reply, letter in ((self.straight, straight), (self.reversed, reversed))
        )


def prompts(prompt: str, base: str, tuned: str) -> tuple[str, str]:
    """What the judge reads in the two orders: the base's answer first, and the tuned model's first."""
    return (
        PROMPT.format(prompt=prompt, first=base, second=tuned),
        PROMPT.format(prompt=prompt, first=tuned, second=base),
    )


def letter_of(reply: str) -> str:
    """The first letter of ``LETTERS`` that stands alone in a reply; empty where there is none."""
    found = LETTER.search(reply)
    return found[1] if found else ""


@dataclass(frozen=True)
class Comparison:
    """The valid judgements on ``n`` prompts, ``invalid`` more having a reply that can't be read.

    ``margin``: share of prompts on which the tuned model is preferred, less that of the base. ``position_bias``: share
    on which the answer that comes first is preferred in whichever order, less that of the second one.
    """

    n: int
    invalid: int
    won: int
    lost: int
    changed: int
    margin: Difference
    position_bias: Difference

    @property
    def tied(self) -> int:
        """Prompts on which neither is preferred."""
        return self.n - self.won - self.lost

    @property
    def win_rate(self) -> tuple[float, float, float]:
        """The tuned model's share of wins, a tie counting half, and the ends of its 95 % interval."""
        low, high = (0.0 if end is None else end for end in (self.margin.low, self.margin.high))
        return (1 + self.margin.change) / 2, (1 + low) / 2, (1 + high) / 2


def compare(judgements: Sequence[Judgement]) -> Comparison | None:
    """Win rate and position bias with intervals for the difference of paired shares; None without a valid judgement."""
    valid = [each for each in judgements if each.is_valid]
    values, positions = np.array([each.value for each in valid]), np.array([each.position for each in valid])
    margin = difference(flags(values == 0), flags(values == 1)) if valid else None
    bias = difference(flags(positions < 0), flags(positions > 0)) if valid else None
    if margin is None or bias is None:
        return None
    won, lost = int((values == 1).sum()), int((values == 0).sum())
    changed = sum(each.changes for each in valid)
    return Comparison(len(valid), len(judgements) - len(valid), won, lost, changed, margin, bias)
