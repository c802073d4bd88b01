"""Behaviour and side effects over the checkpoints of a training: which has the least spread, and a picture of all."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.figures import EVAL, INK, PAPER, SOFT, WARM, blank_figure, describe, plain, style_axes, write_table
from evals.claims_file import Line
from evals.metrics import METRICS, format_of
from evals.paired import Difference

#: The metrics of the suite ``spread`` that measure it, the first that is known.
SPREAD = ("spread/lexicon_rate", "spread/copy_rate")
#: A checkpoint keeps the behaviour where it has this share of the largest gain over the base.
KEPT_SHARE = 0.95
WIDTH, HEIGHT, MARGIN = 8.0, 1.75, 0.9


@dataclass(frozen=True)
class Checkpoint:
    """One evaluation after ``step`` optimizer steps.

    ``changes``: by metric, how much the model differs from its base on the same rows or items. ``broken``: the tested
    keeps that were refuted, a sentence each.
    """

    step: int
    changes: Mapping[str, Difference]
    broken: tuple[str, ...] = ()


@dataclass(frozen=True)
class ByStep:
    """All evaluations after step 0, ascending, under the keeps ``lines``.

    ``behaviour`` is the metric of what was trained, on ``rows``, such as *15 validation rows*; ``spread`` that of the
    spread, empty where it was not measured. ``chosen``: the step of the weights that were taken; ``kept``: those steps
    that have weights.
    """

    checkpoints: tuple[Checkpoint, ...]
    lines: tuple[Line, ...]
    behaviour: str
    spread: str
    rows: str
    chosen: int
    kept: frozenset[int]

    @property
    def least_spread(self) -> int | None:
        """Of the kept checkpoints that keep the behaviour and break no keep, the step of the one with least spread.

        To keep the behaviour is to have ``KEPT_SHARE`` of the largest gain over the base among them; of equal spreads
        the earliest counts. None where the spread was not measured, or nothing was gained.
        """
        allowed = [each for each in self.checkpoints if each.step in self.kept and not each.broken]
        gains = {each.step: self._gain(each) for each in allowed}
        most = max(gains.values(), default=0.0)
        if not self.spread or most <= 0:
            return None
        keeping = [each for each in allowed if gains[each.step] >= KEPT_SHARE * most]
        return min(keeping, key=lambda each: (each.changes[self.spread].change, each.step)).step

    def _gain(self, found: Checkpoint) -> float:
        change = found.changes.get(self.behaviour)
        sign = -1 if METRICS[self.behaviour].higher_is_better is False else 1
        return sign * change.change if change else 0.0

    @property
    def metrics(self) -> list[str]:
        """The metrics that are shown, in order: behaviour, spread, then those of the keeps."""
        names = [self.behaviour, self.spread, *(line.metric for line in self.lines)]
        return [name for name in dict.fromkeys(names) if any(name in each.changes for each in self.checkpoints)]

    def label(self, metric: str) -> str:
        """The metric for readers, with the rows that it is measured on."""
        if "/" not in metric:
            return f"{METRICS[metric].shown_as}, {self.rows}"
        return f"{metric}, {next(each.changes[metric].n for each in self.checkpoints if metric in each.changes)} items"

    @property
    def sentences(self) -> list[str]:
        """What became of the keeps, which weights were taken, and which checkpoint has the least spread."""
        return [self._stopped(), self._taken(), self._marked()]

    def _stopped(self) -> str:
        names = ", ".join(dict.fromkeys(line.metric for line in self.lines))
        broken = [each for each in self.checkpoints if each.broken]
        if not broken:
            return f"no keep on {names} was broken at {len(self.checkpoints)} checkpoints"
        return f"training ended at step {broken[0].step}: {'; '.join(broken[0].broken)}"

    def _taken(self) -> str:
        if self.chosen == 0:
            return "the weights are those of step 0, the untrained ones: lower lr, or raise evals_per_epoch"
        return f"the weights are those of step {self.chosen}"

    def _marked(self) -> str:
        step, behaviour = self.least_spread, METRICS[self.behaviour].shown_as
        if not self.spread:
            return "no checkpoint is marked for its spread: the suite spread was not measured"
        if step is None:
            return (
                f"no checkpoint is marked for its spread: none that may be taken has a better {behaviour} than the base"
            )
        [marked] = [each for each in self.checkpoints if each.step == step]
        gained, spread = marked.changes[self.behaviour], marked.changes[self.spread]
        return (
            f"the least spread at {KEPT_SHARE:.0%} of the gain in {behaviour} or more has step {step}: "
            f"{self.spread} {_text(self.spread, spread)}; {behaviour} {_text(self.behaviour, gained)} on {self.rows}"
        )


def spread_metric(statistics: Mapping[str, Any]) -> str:
    """The metric that measures the spread of what was trained; empty where the suite was not measured."""
    return next((name for name in SPREAD if name in statistics), "")


def write_picture(found: ByStep, title: str, path: Path) -> None:
    """Draw every metric by step to a PNG at ``path``, with the figures as CSV and in words beside it.

    Each metric has a strip and a scale of its own. Bars are 95 % intervals of the change from the base on the same
    rows, laid around the base's value.
    """
    names = found.metrics
    figure, places = blank_figure(WIDTH, MARGIN + HEIGHT * len(names), len(names), 1, squeeze=False, sharex=True)
    for axes, name in zip(places[:, 0], names, strict=True):
        _strip(axes, found, name)
    figure.suptitle(plain(title), x=0.015, ha="left", color=INK, fontsize=11)
    handles, words = places[0, 0].get_legend_handles_labels()
    figure.legend(handles, words, frameon=False, fontsize=8, labelcolor=INK, ncols=4, loc="outside lower left")
    places[-1, 0].set_xlabel("optimizer step", color=INK)
    places[-1, 0].set_xticks([0, *(each.step for each in found.checkpoints)] if len(found.checkpoints) < 12 else None)
    figure.savefig(path, facecolor=PAPER)
    header = ["step", "metric", "n", "base", "value", "change", "low", "high", "keeps_broken", "weights_kept"]
    write_table(path, header, _records(found))
    describe(path, f"{title}. {'. '.join(found.sentences)}. {' '.join(_words(found, name) for name in names)}")


def _strip(axes: Any, found: ByStep, name: str) -> None:
    points = [(each, each.changes[name]) for each in found.checkpoints if name in each.changes]
    base, colour = points[0][1].before, WARM if name == found.spread else EVAL if name == found.behaviour else INK
    axes.plot([0, *(each.step for each, _ in points)], [base, *(change.after for _, change in points)], color=colour)
    axes.plot([0], [base], "o", color=colour, markersize=4)
    for each, change in points:
        if change.low is not None and change.high is not None:
            axes.plot([each.step] * 2, [base + change.low, base + change.high], color=colour, alpha=0.35, linewidth=5)
        mark = {"marker": "X", "markersize": 8} if each.broken else {"marker": "o", "markersize": 5}
        axes.plot([each.step], [change.after], color=colour, **mark)
    bounds = [_bound(line, base) for line in found.lines if line.metric == name]
    for bound in (value for pair in bounds for value in pair if value is not None):
        axes.axhline(bound, color=SOFT, linestyle=":", linewidth=1.3)
    axes.axvline(found.chosen, color=EVAL, linewidth=1.2, zorder=1, label="weights that were taken")
    if found.least_spread is not None:
        marked = {"linestyle": "--", "linewidth": 1.6, "label": "least spread that keeps the behaviour"}
        axes.axvline(found.least_spread, color=WARM, zorder=1, **marked)
    axes.plot([], [], "X", color=INK, linestyle="none", label="a keep is broken")
    axes.plot([], [], color=SOFT, linestyle=":", label="bound of a keep")
    axes.set_title(plain(found.label(name)), loc="left", color=INK, fontsize=9)
    axes.margins(y=0.15)
    style_axes(axes)


def _bound(line: Line, base: float) -> Iterator[float | None]:
    """Both bounds of a keep in the metric's own unit; None where there is none."""
    for end in (line.low, line.high):
        if not np.isfinite(end):
            yield None
        elif line.quantity == "level":
            yield end
        else:
            yield base + end * (base if line.quantity == "relative" else 1)


def _records(found: ByStep) -> Iterator[tuple[Any, ...]]:
    for each in found.checkpoints:
        for name in found.metrics:
            if change := each.changes.get(name):
                figures = (change.n, change.before, change.after, change.change, change.low, change.high)
                yield each.step, name, *figures, int(bool(each.broken)), int(each.step in found.kept)


def _words(found: ByStep, name: str) -> str:
    changes = [(each.step, each.changes[name]) for each in found.checkpoints if name in each.changes]
    first, form = changes[0][1], format_of(name)
    values = ", ".join(f"{step}: {change.after:{form}}" for step, change in changes)
    return f"{found.label(name)}, by step (0: {first.before:{form}}, {values})."


def _text(name: str, change: Difference) -> str:
    """The value and its change from the base with its interval."""
    form = format_of(name)
    return f"{change.after:{form}}, a change of {change.text(form)}"
