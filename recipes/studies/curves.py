"""Curves of a study: a subplot per metric with a line per series, means over cells and their 95 % intervals.

Beside the PNG the same figures are written as CSV, and as a description for readers who can't see it (``.txt``).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.figures import EVAL, INK, PAPER, SOFT, WARM, blank_figure, describe, plain, style_axes, write_table
from evals.metric import SHARE, Metric
from evals.significance import ANY, MeanOverSeeds, mean_over_seeds

#: Each series has a colour and a marker; their combinations repeat after 42 series.
COLOURS = (EVAL, WARM, "#862e9c", "#5c940d", "#1c7ed6", "#a61e4d")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
MAX_COLUMNS = 3
DASHED = (0, (4, 3))
NOTE = "Lines: means over seeds;\nbands: their 95 % intervals (t);\nsmall marks: single runs."
#: Runs of a study with their settings and metrics by name; a metric is None or missing where it is undefined.
Cells = Sequence[Mapping[str, Any]]
#: The means of one series and metric by their x.
Means = Mapping[float, MeanOverSeeds]


@dataclass(frozen=True)
class Subplot:
    """One metric. The y axis covers ``low`` to ``high``, both None for the range of the values.

    ``line`` is a function of x drawn dashed and named ``line_name``, such as chance. ``bounds`` cut
    intervals.
    """

    key: str
    title: str
    low: float | None = 0.0
    high: float | None = 1.0
    line: Callable[[float], float] | None = None
    line_name: str = ""
    bounds: tuple[float, float] = ANY


def subplot_of(metric: Metric, line: Callable[[float], float] | None = None, line_name: str = "") -> Subplot:
    """The subplot of a metric: all of a share's range or the part that the table names, else the range of the values.

    Without a ``line`` the value by chance is drawn where the table names one.
    """
    low, high = metric.axis or (metric.range if metric.range == SHARE else (None, None))
    chance = metric.chance
    if line is None and chance is not None:
        line, line_name = (lambda x: chance), "chance"
    return Subplot(metric.name, metric.shown_as, low, high, line, line_name, metric.range)


@dataclass(frozen=True)
class Axis:
    """What the subplots are drawn against: the setting ``key``; descriptions read ``0.9 PREPOSITION 3``."""

    key: str
    label: str
    preposition: str = "at"
    is_log: bool = False


@dataclass(frozen=True)
class Series:
    """One line of every subplot. ``values`` are its settings as the table's first columns have them."""

    name: str
    values: tuple[str, ...]
    cells: Cells
    colour: str
    marker: str
    is_dashed: bool = False

    def means(self, subplot: Subplot, axis: Axis) -> Means:
        """The defined means of the subplot's metric by x, ascending."""
        by_x: dict[float, list[float | None]] = {}
        for cell in self.cells:
            by_x.setdefault(cell[axis.key], []).append(cell.get(subplot.key))
        found = {x: mean_over_seeds(by_x[x], subplot.bounds) for x in sorted(by_x)}
        return {x: mean for x, mean in found.items() if mean is not None}

    def points(self, subplot: Subplot, axis: Axis) -> list[tuple[float, float]]:
        """(x, value) of every cell in which the metric is defined."""
        return [(cell[axis.key], cell[subplot.key]) for cell in self.cells if cell.get(subplot.key) is not None]


def style(i: int) -> tuple[str, str]:
    """Colour and marker of the i-th series."""
    return COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]


def plot_curves(
    series: Sequence[Series],
    subplots: Sequence[Subplot],
    axis: Axis,
    columns: Sequence[str],
    title: str,
    path: Path,
) -> None:
    """Draw all subplots for which some cell has the metric; ``columns`` names ``Series.values`` in the table.

    Raises:
        ValueError: no cell has any of the metrics.
    """
    shown = [subplot for subplot in subplots if any(each.points(subplot, axis) for each in series)]
    if not shown:
        raise ValueError("no cell has any of the metrics")
    means = [[each.means(subplot, axis) for each in series] for subplot in shown]
    _save_figure(series, shown, axis, means, title, path)
    rows = [
        (*each.values, subplot.key, x, mean.n, mean.mean, mean.low, mean.high)
        for subplot, of_subplot in zip(shown, means, strict=True)
        for each, of_series in zip(series, of_subplot, strict=True)
        for x, mean in of_series.items()
    ]
    write_table(path, [*columns, "metric", axis.key, "n", "mean", "low", "high"], rows)
    sentences = [
        _sentence(subplot, each, axis, of_series)
        for subplot, of_subplot in zip(shown, means, strict=True)
        for each, of_series in zip(series, of_subplot, strict=True)
    ]
    describe(path, f"{title}. {' '.join(sentences)}")


def _save_figure(
    series: Sequence[Series],
    subplots: Sequence[Subplot],
    axis: Axis,
    means: Sequence[Sequence[Means]],
    title: str,
    path: Path,
) -> None:
    cells = len(subplots) + 1  # the last one is the legend's
    columns = min(range(min(MAX_COLUMNS, cells), 1, -1), key=lambda count: -cells % count)
    rows = -(-cells // columns)
    figure, grid = blank_figure(3.7 * columns, 3.0 * rows + 0.4, rows, columns, squeeze=False)
    places = [axes for line in grid for axes in line]
    for axes, subplot, of_subplot in zip(places, subplots, means, strict=False):
        _fill_subplot(axes, subplot, axis, list(zip(series, of_subplot, strict=True)))
    has_bands = any(mean.low is not None for row in means for each in row for mean in each.values())
    _add_legend(places[len(subplots)], series, NOTE if has_bands else "One seed each: no intervals.")
    for axes in places[len(subplots) + 1 :]:
        axes.set_axis_off()
    figure.suptitle(plain(title), x=0.01, ha="left", color=INK, fontsize=12)
    figure.savefig(path)


def _fill_subplot(axes: Any, subplot: Subplot, axis: Axis, lines: Sequence[tuple[Series, Means]]) -> None:
    style_axes(axes)
    axes.set_title(subplot.title, loc="left", color=INK, fontsize=10)
    axes.set_xlabel(axis.label, color=SOFT, fontsize=9)
    for each, means in lines:
        if means:
            _plot_line(axes, each, means, each.points(subplot, axis))
    xs = sorted({cell[axis.key] for each, _ in lines for cell in each.cells})
    if subplot.line:
        axes.plot(xs, [subplot.line(x) for x in xs], color=SOFT, linewidth=1.2, linestyle=(0, (5, 4)), zorder=1)
        axes.set_title(f"dashed: {subplot.line_name}", loc="right", color=SOFT, fontsize=8)
    _set_limits(axes, subplot, axis, xs, [value for each, _ in lines for _, value in each.points(subplot, axis)])


def _set_limits(axes: Any, subplot: Subplot, axis: Axis, xs: Sequence[float], values: Sequence[float]) -> None:
    if subplot.low is not None and subplot.high is not None:
        low, high = min(subplot.low, *values), max(subplot.high, *values)
        axes.set_ylim(low - 0.03 * (high - low), high + 0.03 * (high - low))
    if axis.is_log:
        axes.set_xscale("log")
        axes.set_xticks(xs, labels=[f"{x:g}" for x in xs])
        axes.minorticks_off()
    elif len(xs) > 1:
        axes.set_xlim(xs[0] - 0.02, xs[-1] + 0.02)


def _plot_line(axes: Any, series: Series, means: Means, points: Sequence[tuple[float, float]]) -> None:
    bands = [(x, mean.low, mean.high) for x, mean in means.items() if mean.low is not None]
    if bands:
        axes.fill_between(*zip(*bands, strict=True), color=series.colour, alpha=0.13, linewidth=0)
    axes.plot(
        *zip(*points, strict=True), series.marker, color=series.colour, alpha=0.35, markersize=3, markeredgewidth=0
    )
    axes.plot(list(means), [mean.mean for mean in means.values()], **_line_style(series, markersize=5))


def _line_style(series: Series, markersize: int) -> dict[str, Any]:
    return {
        "color": series.colour,
        "linewidth": 2,
        "linestyle": DASHED if series.is_dashed else "-",
        "marker": series.marker,
        "markersize": markersize,
        "markeredgecolor": PAPER,
        "markeredgewidth": 0.8,
    }


def _add_legend(axes: Any, series: Sequence[Series], note: str) -> None:
    axes.set_axis_off()
    for each in series:
        axes.plot([], [], label=plain(each.name), **_line_style(each, markersize=6))
    axes.legend(loc="upper left", frameon=False, labelcolor=INK, fontsize=10, borderaxespad=0)
    axes.text(0, 0, note, transform=axes.transAxes, color=SOFT, fontsize=8.5, va="bottom")


def _sentence(subplot: Subplot, series: Series, axis: Axis, means: Means) -> str:
    if not means:
        return f"{subplot.title}, {series.name}: undefined."
    points = ", ".join(f"{mean.mean:.3f} {axis.preposition} {x:g}" for x, mean in means.items())
    return f"{subplot.title}, {series.name}: {points}."
