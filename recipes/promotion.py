"""Whether a new version becomes champion: its primary metric against the champion's, on the same held-out rows."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from evals import metrics
from evals.metrics import METRICS
from evals.paired import Difference
from registry import champion, row_statistics
from registry.champion import Promotion
from registry.versions import Version


def promote(
    version: Version,
    metric: str,
    value: float,
    statistics: Mapping[str, np.ndarray],
    least_gain: float = 0.0,
    broken: Sequence[str] = (),
    compare: Callable[[np.ndarray], Difference | None] | None = None,
    seeds: int = 1,
) -> Promotion:
    """Make ``version`` the champion where ``metric`` is better than the champion's by more than chance.

    Args:
        value: the metric of ``version``; it decides where the champion's run keeps no statistics of rows, as runs of
            earlier releases do.
        statistics: the statistics of the held-out rows by metric, as ``evals.metrics.statistics`` gives them.
        least_gain: the least that the metric must be better by, in its own unit.
        broken: keeps that the version broke, in words; with any of them it does not become champion.
        compare: what compares with the champion's statistics; None compares ``statistics``.
        seeds: the number of trainings that ``compare`` compares with it.
    """
    lower_is_better = METRICS[metric].higher_is_better is False

    def against(champion: Version) -> Promotion | None:
        theirs = row_statistics.load(champion.run_id).get(metric)
        mine = statistics.get(metric)
        if mine is None or theirs is None or mine.shape != theirs.shape:
            return Promotion(False, f"{metric} can't be compared row by row") if lower_is_better else None
        change = compare(theirs) if compare else metrics.change(metric, theirs, mine)
        return change and _decide(metric, change, champion.reference, least_gain, seeds)

    refused = f"it broke what had to be kept: {'; '.join(broken)}" if broken else ""
    return champion.promote(version, metric, value, version.tags["test_digest"], against, least_gain, refused)


def _decide(metric: str, change: Difference, rival: str, least_gain: float = 0.0, seeds: int = 1) -> Promotion:
    entry = METRICS[metric]
    values = f"{entry.shown_as} {change.after:{entry.format}} against {rival}'s {change.before:{entry.format}}"
    if change.low is None or change.high is None:
        return Promotion(False, f"{values}: {change.n} rows are too few to compare them")
    interval = f"{values}, a change of {change.text(entry.format)}"
    if change.low == change.high == 0:
        return Promotion(False, f"{values}: every row is the same")
    lower_is_better = entry.higher_is_better is False
    is_better, is_worse = change.is_increase, change.is_decrease
    if lower_is_better:
        is_better, is_worse = is_worse, is_better
    gain = -change.change if lower_is_better else change.change
    if least_gain > max(gain, 0.0) and not is_worse:
        return Promotion(False, f"{interval}, less than least_gain={least_gain:g}")
    if is_better:
        return Promotion(True, interval)
    if is_worse:
        return Promotion(False, interval)
    more = ""
    if change.more_rows:
        more_seeds = f" and {change.more(seeds):,} more seeds" if seeds > 1 else ""
        more = f"; {change.more_rows:,} more test rows{more_seeds} would decide, if it is as large as it seems"
    return Promotion(False, f"undecided: {interval}{more}")
