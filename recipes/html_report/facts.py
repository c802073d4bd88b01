"""What a report page shows, as plain values: kept as ``report.json``, so that the page can be rendered again."""

import dataclasses
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from data.json_values import finite
from evals.chosen_metrics import is_shown
from evals.metrics import METRICS, entry, in_order
from evals.paired import Difference

#: What a row's statistic says of an answer where it has this value: (metric, value) -> the flag.
FLAGS = {
    ("echo_rate", 1): "echo",
    ("loop_rate", 1): "loop",
    ("stop_rate", 0): "cut",
    ("copy_rate", 1): "copied",
    ("invalid_rate", 1): "invalid",
    ("accuracy", 0): "wrong",
    ("mc1", 0): "wrong",
}
FLAG_WORDS = {
    "echo": "holds its prompt word for word",
    "loop": "repeats itself",
    "cut": "was cut at max_new_tokens",
    "copied": "is another row's training response",
    "invalid": "is no label",
    "wrong": "is wrong",
}
#: Rows of a page; more would make it slow to open. The others are counted.
MOST_ITEMS = 2000


@dataclass(frozen=True)
class MetricLine:
    """One metric of both models on the same rows; None where it was not measured.

    ``name`` with a slash is that of a suite other than the held-out rows.
    """

    name: str
    label: str
    about: str
    format: str
    higher_is_better: bool | None
    headline: bool
    before: float | None
    after: float | None
    change: Difference | None

    @property
    def suite(self) -> str:
        """The suite that it is of; empty for the held-out rows."""
        return self.name.rpartition("/")[0]

    @property
    def outcome(self) -> str:
        """``better``, ``worse``, ``higher`` or ``lower`` where the interval is clear of 0, else ``undecided``."""
        if self.change is None or not (self.change.is_increase or self.change.is_decrease):
            return "undecided" if self.change else ""
        if self.higher_is_better is None:
            return "higher" if self.change.is_increase else "lower"
        return "better" if self.change.is_increase == self.higher_is_better else "worse"


@dataclass(frozen=True)
class Item:
    """One held-out row with both answers. ``number`` counts held-out rows from 1, ``flags`` are words of ``FLAGS``.

    ``before_score`` and ``after_score``: what rows are ordered by; None where it is undefined for this row.
    """

    number: int
    prompt: str
    reference: str
    before: str
    after: str
    before_score: float | None
    after_score: float | None
    before_flags: tuple[str, ...] = ()
    after_flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClaimLine:
    """One claim or keep that was written before training: its ``outcome``, and the cells of its line in a table."""

    outcome: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Figure:
    """A picture: its heading, what it shows in words, and the PNG file in base64.

    ``caption``: what stands under it; empty takes a short description.
    """

    title: str
    description: str
    png: str
    caption: str = ""


@dataclass(frozen=True)
class ReportFacts:
    """All that the page of a run, or of a comparison of two versions, shows.

    ``sides``: names of the first and second model, such as base and tuned. ``primary``: the metric in ``metrics`` that
    matters most. ``rows``: number of held-out rows, of which ``items`` are the first. ``order``: what an item's score
    is, in words; higher is better unless ``lowest_is_best``. ``lineage``: (label, value). ``commands``: lines for a
    shell. ``claims_figures``: the forest plot of the claims. ``is_comparison``: both are versions, and items are listed
    by who won.
    """

    title: str
    subtitle: str
    sides: tuple[str, str]
    verdict: str
    reasons: tuple[str, ...]
    primary: str
    metrics: tuple[MetricLine, ...]
    rows: int
    items: tuple[Item, ...]
    order: str
    lowest_is_best: bool
    figures: tuple[Figure, ...]
    lineage: tuple[tuple[str, str], ...]
    commands: tuple[str, ...]
    notes: tuple[str, ...]
    limits: tuple[str, ...]
    claims: tuple[ClaimLine, ...] = ()
    claims_figures: tuple[Figure, ...] = ()
    is_comparison: bool = False

    @property
    def primary_line(self) -> MetricLine | None:
        """The entry of the primary metric."""
        return next((line for line in self.metrics if line.name == self.primary), None)

    def record(self) -> dict[str, Any]:
        """Everything as JSON can hold it, with the outcome of each metric; numbers that are not finite are null."""
        found = dataclasses.asdict(self)
        for line, kept in zip(self.metrics, found["metrics"], strict=True):
            kept["outcome"] = line.outcome
        return finite(found)


def suites_of(lines: Sequence[MetricLine]) -> tuple[str, ...]:
    """The suites that metrics are of, each once."""
    return tuple(dict.fromkeys(line.suite for line in lines if line.suite))


def metric_lines(
    before: Mapping[str, float],
    after: Mapping[str, float],
    changes: Mapping[str, Difference],
    named: Collection[str] | None = None,
) -> tuple[MetricLine, ...]:
    """A line for each metric that both models have: those of the table by rank, then those of further suites.

    ``named``: metrics that were chosen by name; they are headlines beside those of the table.
    """
    shared = {name for name in after if name in before}
    known = [metric.name for metric in in_order() if metric.name in shared]
    others = [name for name in after if name in shared and "/" in name and name not in known]
    return tuple(
        _line(name, before[name], after[name], changes.get(name), is_shown(name, named)) for name in (*known, *others)
    )


def _line(name: str, before: float, after: float, change: Difference | None, headline: bool) -> MetricLine:
    metric = entry(name)
    if metric is None:
        return MetricLine(name, name, "", ".3f", None, headline, before, after, change)
    label = metric.shown_as if name in METRICS else name
    return MetricLine(
        name, label, metric.about, metric.format, metric.higher_is_better, headline, before, after, change
    )


def flags(statistics: Mapping[str, np.ndarray], rows: int) -> list[tuple[str, ...]]:
    """The flags of each row's answer, from the statistics of the rows by metric."""
    found: list[list[str]] = [[] for _ in range(rows)]
    for (name, value), flag in FLAGS.items():
        if name in statistics:
            for row in np.flatnonzero(statistics[name][:, 0] == value):
                found[row].append(flag)
    return [tuple(dict.fromkeys(each)) for each in found]


def row_values(name: str, statistics: Mapping[str, np.ndarray], rows: int) -> list[float | None]:
    """The metric ``name`` of each row alone; None where it is undefined or has no statistics of rows."""
    if name not in statistics:
        return [None] * rows
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.asarray(METRICS[name].of_sums(statistics[name]), dtype=float)
    return [float(value) if math.isfinite(value) else None for value in values]


def make_items(
    texts: Sequence[tuple[str, str, str, str]],
    scores: tuple[Sequence[float | None], Sequence[float | None]],
    found: tuple[Sequence[tuple[str, ...]], Sequence[tuple[str, ...]]],
) -> tuple[Item, ...]:
    """The first ``MOST_ITEMS`` rows from (prompt, reference, first answer, second answer), scores and flags."""
    whole = zip(texts[:MOST_ITEMS], scores[0], scores[1], found[0], found[1], strict=False)
    return tuple(
        Item(number, *text, before, after, before_flags, after_flags)
        for number, (text, before, after, before_flags, after_flags) in enumerate(whole, 1)
    )
