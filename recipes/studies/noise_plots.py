"""Curves against the rate of wrong labels: what corrupted training data does to a model, in one picture.

Beside the PNG stand the same figures as CSV and a description for those who can't see it (``.txt``).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.label_errors import best_ece
from evals.plots import PAPER, WARM, blank_figure, describe, dress, plain, write_table
from evals.significance import SHARE, MeanOverSeeds, mean_over_seeds
from train.plots import EVAL, INK, SOFT

#: A series has a colour and a mark, so that neither is needed alone; together they repeat after 42 series.
COLOURS = (EVAL, WARM, "#862e9c", "#5c940d", "#1c7ed6", "#a61e4d")
MARKS = ("o", "s", "^", "D", "v", "P", "X")
Cells = Sequence[Mapping[str, Any]]
#: The means of one series and metric by their rates.
Means = Mapping[float, MeanOverSeeds]


@dataclass(frozen=True)
class Panel:
    """One metric against the rate. ``line`` is drawn dashed and called ``line_name``: chance, or what theory says."""

    key: str
    title: str
    low: float = 0.0
    high: float = 1.0
    line: Callable[[float], float] | None = None
    line_name: str = ""


def _half(rate: float) -> float:
    return 0.5


PANELS = (
    Panel("accuracy", "accuracy", 0.4, 1, _half, "chance"),
    Panel("auc", "AUC", 0.4, 1, _half, "chance"),
    Panel("ece", "ECE", 0, 0.6, best_ece, "perfect on random noise"),
    Panel("memorised_share", "flipped rows memorised"),
    Panel("detection_auroc", "flipped rows found (AUROC)", 0.4, 1, _half, "chance"),
)


def rate_curves(
    cells: Cells,
    title: str,
    path: Path,
    series: str = "kind",
    panels: Sequence[Panel] = PANELS,
) -> None:
    """Each panel's metric against ``rate``: one line a value of ``series``, the mean over cells, and its 95 % interval.

    A cell is one run: ``rate``, ``series`` and metrics by their keys, None or missing where undefined. Small marks are
    the cells themselves. Panels without any value are left out.
    """
    shown = [panel for panel in panels if any(cell.get(panel.key) is not None for cell in cells)]
    if not shown:
        raise ValueError("no cell has any of the metrics")
    names = list(dict.fromkeys(str(cell[series]) for cell in cells))
    columns = min(3, len(shown) + 1)
    rows = -(-(len(shown) + 1) // columns)
    figure, grid = blank_figure(3.7 * columns, 3.0 * rows + 0.4, rows, columns, squeeze=False)
    places = [axes for line in grid for axes in line]
    means = {(panel.key, name): _means(cells, series, name, panel.key) for panel in shown for name in names}
    rates = sorted({float(cell["rate"]) for cell in cells})
    for axes, panel in zip(places, shown, strict=False):
        points = [_points([cell for cell in cells if str(cell[series]) == name], panel.key) for name in names]
        _panel(axes, panel, [(means[panel.key, name], each) for name, each in zip(names, points, strict=True)], rates)
    banded = any(each.low is not None for found in means.values() for each in found.values())
    _legend(places[len(shown)], names, banded)
    for axes in places[len(shown) + 1 :]:
        axes.set_axis_off()
    figure.suptitle(plain(title), x=0.01, ha="left", color=INK, fontsize=12)
    figure.savefig(path)
    records = [
        (name, panel.key, rate, found.n, found.mean, found.low, found.high)
        for panel in shown
        for name in names
        for rate, found in means[panel.key, name].items()
    ]
    write_table(path, [series, "metric", "rate", "n", "mean", "low", "high"], records)
    describe(
        path, f"{title}. {' '.join(_course(panel, name, means[panel.key, name]) for panel in shown for name in names)}"
    )


def _means(cells: Cells, series: str, name: str, key: str) -> Means:
    by_rate: dict[float, list[Any]] = {}
    for cell in cells:
        if str(cell[series]) == name:
            by_rate.setdefault(float(cell["rate"]), []).append(cell.get(key))
    found = {rate: mean_over_seeds(by_rate[rate], SHARE) for rate in sorted(by_rate)}
    return {rate: mean for rate, mean in found.items() if mean is not None}


def _panel(
    axes: Any, panel: Panel, lines: Sequence[tuple[Means, list[tuple[float, float]]]], rates: list[float]
) -> None:
    """Draw one metric: for each series its means and its single (rate, value)."""
    dress(axes)
    axes.set_title(panel.title, loc="left", color=INK, fontsize=10)
    axes.set_xlabel("rate of wrong labels", color=SOFT, fontsize=9)
    for (means, points), style in zip(lines, _styles(len(lines)), strict=True):
        if means:
            _line(axes, means, points, *style)
    if panel.line:
        ends = [panel.line(rate) for rate in rates]
        axes.plot(rates, ends, color=SOFT, linewidth=1.2, linestyle=(0, (5, 4)), zorder=1)
        axes.set_title(f"dashed: {panel.line_name}", loc="right", color=SOFT, fontsize=8)
    values = [value for _, points in lines for _, value in points]
    low, high = min(panel.low, *values), max(panel.high, *values)
    axes.set_ylim(low - 0.03 * (high - low), high + 0.03 * (high - low))
    if len(rates) > 1:
        axes.set_xlim(rates[0] - 0.02, rates[-1] + 0.02)


def _line(axes: Any, means: Means, points: list[tuple[float, float]], colour: str, mark: str) -> None:
    bands = [(rate, each.low, each.high) for rate, each in means.items() if each.low is not None]
    if bands:
        axes.fill_between(*zip(*bands, strict=True), color=colour, alpha=0.13, linewidth=0)
    axes.plot(*zip(*points, strict=True), mark, color=colour, alpha=0.35, markersize=3, markeredgewidth=0)
    marks = {"marker": mark, "markersize": 5, "markeredgecolor": PAPER, "markeredgewidth": 0.8}
    axes.plot(list(means), [each.mean for each in means.values()], color=colour, linewidth=2, **marks)


def _points(cells: Cells, key: str) -> list[tuple[float, float]]:
    return [(float(cell["rate"]), float(cell[key])) for cell in cells if cell.get(key) is not None]


def _legend(axes: Any, names: Sequence[str], banded: bool) -> None:
    axes.set_axis_off()
    for name, (colour, mark) in zip(names, _styles(len(names)), strict=True):
        axes.plot(
            [], [], color=colour, linewidth=2, marker=mark, markersize=6, markeredgecolor=PAPER, label=plain(name)
        )
    axes.legend(loc="upper left", frameon=False, labelcolor=INK, fontsize=10, borderaxespad=0)
    means = "Lines: means over seeds;\nbands: their 95 % intervals (t);\nsmall marks: single runs."
    note = means if banded else "One seed each: no intervals."
    axes.text(0, 0, note, transform=axes.transAxes, color=SOFT, fontsize=8.5, va="bottom")


def _styles(n: int) -> list[tuple[str, str]]:
    return [(COLOURS[i % len(COLOURS)], MARKS[i % len(MARKS)]) for i in range(n)]


def _course(panel: Panel, name: str, means: Means) -> str:
    if not means:
        return f"{panel.title}, {name}: undefined."
    points = ", ".join(f"{found.mean:.3f} at {rate:g}" for rate, found in means.items())
    return f"{panel.title}, {name}: {points}."
