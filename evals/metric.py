"""What an entry of the table of metrics (``evals.metrics``) consists of, and what generated answers are scored by."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from evals.bootstrap import OfSums
from evals.estimates import Estimate
from evals.intervals import Interval
from evals.paired import Compare, Difference, difference, ratio

#: What a metric is computed from: ``answers`` is an ``AnswerData``, ``labels`` a ``ClassificationReport``
#: (``evals.classification``), ``choices`` a ``ChoiceReport`` (``evals.multiple_choice``), ``training`` a
#: ``TrainingEvaluation`` (``recipes.noisy_labels.types``), ``preferences`` a ``PreferenceData``
#: (``evals.preference_metrics``), and ``suites`` the statistics ``[items, k]`` that a
#: retention suite finds for the metric.
Data = Literal["answers", "labels", "choices", "training", "preferences", "suites"]
#: A number, None where it is undefined, or several metrics by their names (one for each label).
Value = float | None | Mapping[str, float | None]
#: Of each row, ``[rows, k]``; None where they are not known.
Statistics = np.ndarray | None

SHARE, NOT_NEGATIVE = (0.0, 1.0), (0.0, math.inf)
#: Losses above this many nats give the perplexity of this many: exp(709) is the last that a float holds.
MOST_NATS = 80


def perplexity_of_sums(sums: np.ndarray) -> np.ndarray:
    """exp of the mean loss in nats, from sums of losses and of tokens ``[..., 2]``."""
    return np.exp(np.minimum(ratio(sums), MOST_NATS))


@dataclass(frozen=True)
class AnswerData:
    """A language model's generated answers to held-out rows, in row order, and its mean losses.

    ``stopped``: whether the model ended an answer itself. ``prompt_cut``: whether a prompt lost its beginning because
    it was too long for the model. ``training_responses`` are those of the training rows. ``loss`` and ``train_loss``
    are means over response tokens in nats, on the held-out rows and on training rows (None without such rows).
    ``row_losses`` are the held-out rows' own, ``[rows, 2]``: loss summed over a row's response tokens, and how many
    these are. ``has_style``: whether a text has the style of the training responses; None where no such test is known.
    """

    prompts: Sequence[str]
    references: Sequence[str]
    answers: Sequence[str]
    stopped: Sequence[bool]
    prompt_cut: Sequence[bool]
    training_responses: Sequence[str]
    loss: float
    train_loss: float | None
    has_style: Callable[[str], bool] | None = None
    row_losses: np.ndarray | None = None


@dataclass(frozen=True)
class Metric:
    """One entry of the table."""

    name: str
    """The key after ``base/`` and ``test/``."""
    data: tuple[Data, ...]
    """What ``compute`` takes; the metric is computed for each of these."""
    compute: Callable[[Any], Value]
    """The value, from one of ``data``."""
    about: str
    """One sentence: what it is."""
    higher_is_better: bool | None = None
    """The direction; None where neither is better."""
    range: tuple[float, float] = SHARE
    """Lowest and highest value that it can have."""
    label: str = ""
    """Its name for readers; empty takes ``name``."""
    short_label: str = ""
    """The same where there is little room, as in a list of versions; empty takes ``label``."""
    format: str = ".3f"
    """Format specification of its value in the last lines on screen."""
    rank: int | None = None
    """Its place where metrics are listed, lowest first; those without a rank come last."""
    headline: bool = False
    """Whether it is among the few that the last lines on screen show."""
    interval: Callable[[Any], Interval | None] | None = None
    """Its 95 % interval, logged as ``NAME_low`` and ``NAME_high``."""
    statistics: Callable[[Any], "Statistics | Mapping[str, Statistics]"] | None = None
    """Statistics of each row, ``[rows, k]``, of whose sums it is a function; with them a change has an interval.
    A row whose statistics are unknown has NaN. Several metrics have them by name."""
    of_sums: OfSums = ratio
    """That function."""
    compare: Compare | None = None
    """What compares two models by their statistics, for a metric that is no function of their sums."""
    level: Callable[[np.ndarray, int], Estimate | None] | None = None
    """What estimates its value by one model's statistics and a seed, for a metric that is no function of their sums."""
    tag: bool = True
    """Whether registered versions have it as a tag."""
    study: Literal["", "record", "table", "plot"] = ""
    """How far a study uses it: not at all, in its records, also in its table, also in its plot."""
    names: Callable[[tuple[str, str]], tuple[str, ...]] | None = None
    """From the names of both labels to those of its metrics, where it is one or more a label; None: it is ``name``."""
    keys: tuple[str, ...] = ()
    """The metrics of a run that hold it, the first that is there; empty is ``test/NAME``."""
    axis: tuple[float, float] | None = None
    """The part of ``range`` that a plot shows at least; None shows all of it."""
    chance: float | None = None
    """Its value for a model that guesses."""

    def difference(self, before: np.ndarray, after: np.ndarray, seed: int = 0) -> Difference | None:
        """How much it differs between two models on the same rows, from their statistics; None where undefined."""
        found = difference(before, after, self.of_sums, seed, self.compare)
        return found and self.within_range(found)

    def within_range(self, found: Difference) -> Difference:
        """The same with its interval cut at the largest change that the metric can have."""
        width = self.range[1] - self.range[0]
        if found.low is None or found.high is None:
            return found
        return replace(found, low=max(found.low, -width), high=min(found.high, width))

    @property
    def shown_as(self) -> str:
        """Its name for readers."""
        return self.label or self.name

    @property
    def run_keys(self) -> tuple[str, ...]:
        """The metrics of a run that hold it, best first."""
        return self.keys or (f"test/{self.name}",)


def format_value(value: float | None) -> str:
    """``0.812``, or ``undefined``."""
    return "undefined" if value is None else f"{value:.3f}"


def flags(hits: Iterable[bool], counted: Iterable[bool] | None = None) -> np.ndarray:
    """The statistics of a share of rows, ``[rows, 2]``: whether a row is a hit, and whether it is counted (all are)."""
    first = np.array(list(hits), dtype=float)
    return np.stack([first, np.ones_like(first) if counted is None else np.array(list(counted), dtype=float)], axis=-1)
