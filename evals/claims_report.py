"""The outcomes of claims as a table for the screen, as Markdown, as JSON, and as a forest plot."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from textwrap import fill as fill_lines
from typing import Any

from data.columns import aligned
from data.figures import GRID, INK, PAPER, SOFT, blank_figure, describe, plain, write_table
from data.json_values import finite
from data.markdown import table
from evals.claims import Result
from evals.claims_file import Line
from evals.metrics import format_of

HEADER = ("claim", "found", "interval", "level", "adjusted p", "outcome")
#: Colour and marker of each outcome: they differ in lightness and form too.
LOOK = {"confirmed": ("#0072b2", "o"), "refuted": ("#d55e00", "s"), "undecided": ("#5c6a77", "D")}
#: Of a plot, in inches.
WIDTH, ROW, MARGIN = 9.6, 0.52, 1.35
#: Where the key stands, in lines below the last one.
KEY_AT = -0.85
#: Bounds that are nearer to each other than this share of a scale are written to the left and to the right of it.
NARROW = 0.15
#: Characters of a line of the words beside a plot.
REASON = 50


def screen(results: Sequence[Result]) -> list[str]:
    """A line for each claim and each keep, in columns."""
    return aligned([(_kind(each), each.line.text, _found(each), _interval(each), each.reason) for each in results])


def markdown(results: Sequence[Result]) -> list[str]:
    """The lines of a table; none where there are no results."""
    return table(HEADER, map(cells, results), left=(0, 5)) if results else []


def cells(result: Result) -> tuple[str, ...]:
    """One line of a table, in the order of ``HEADER``."""
    claim = f"{_kind(result)}: {result.line.text}"
    return claim, _found(result), _interval(result), _level(result), _p(result), result.reason


def records(results: Sequence[Result]) -> list[dict[str, Any]]:
    """One record a line, as JSON takes it: infinite ends are None."""
    return [finite({**asdict(each.line), **{k: v for k, v in asdict(each).items() if k != "line"}}) for each in results]


def forest(results: Sequence[Result], title: str, path: Path) -> None:
    """Draw each line's interval against its bounds to a PNG at ``path``, its figures as CSV and text beside it.

    There is at least one line. Every line has a scale of its own, since its metric has a unit of its own; the shaded
    part is where it holds.
    """
    shown = list(results)
    figure, axes = blank_figure(WIDTH, MARGIN + ROW * len(shown), 1, 1)
    for place, each in enumerate(shown):
        _strip(axes, len(shown) - 1 - place, each)
    axes.set_xlim(-1.02, 1.98)
    axes.set_ylim(KEY_AT - 0.15, len(shown) - 0.3)
    axes.axis("off")
    axes.set_title(plain(title), loc="left", color=INK, fontsize=11)
    _key(axes)
    figure.savefig(path, facecolor=PAPER)
    rows = records(shown)
    write_table(path, list(rows[0]), [list(row.values()) for row in rows])
    describe(path, f"{title}. " + " ".join(f"{sentence(each)}." for each in shown))


def _strip(axes: Any, y: int, result: Result) -> None:
    """One line of the plot: the claim, its scale from 0 to 1, and what was found."""
    colour, marker = LOOK[result.outcome]
    axes.text(-1.0, y, plain(f"{_kind(result)}  {result.line.text}"), va="center", color=INK, fontsize=9)
    axes.plot([0, 1], [y, y], color=GRID, linewidth=1, zorder=1)
    axes.text(1.04, y + 0.14, plain(f"{_found(result)} {_interval(result)}"), va="center", color=INK, fontsize=8)
    reason = fill_lines(plain(result.reason), REASON)  # a longer line would take the place of the plot
    axes.text(1.04, y - 0.03, reason, va="top", color=colour, fontsize=8)
    if result.value is None:
        return
    start, end = _scale(result)

    def x(value: float) -> float:
        return min(1.0, max(0.0, (value - start) / (end - start)))

    line = result.line
    axes.fill_betweenx([y - 0.3, y + 0.3], x(line.low), x(line.high), color="#dceaf3", linewidth=0, zorder=0)
    is_narrow = x(line.high) - x(line.low) < NARROW
    for bound, side in ((line.low, "right"), (line.high, "left")):
        if math.isfinite(bound):
            axes.plot([x(bound)] * 2, [y - 0.3, y + 0.3], color=INK, linewidth=1, zorder=2)
            axes.text(
                x(bound), y - 0.43, _number(line, bound), ha=side if line.is_range and is_narrow else "center",
                va="center", color=LOOK["undecided"][0], fontsize=7,
            )  # fmt: skip
    if line.quantity != "level" and start < 0 < end and 0 not in (line.low, line.high):
        axes.plot([x(0)] * 2, [y - 0.3, y + 0.3], color=SOFT, linewidth=0.8, linestyle=":", zorder=2)
    low, high = (value if value is not None else result.value for value in (result.low, result.high))
    axes.plot([x(low), x(high)], [y, y], color=colour, linewidth=2.2, solid_capstyle="butt", zorder=3)
    fill = PAPER if result.outcome == "undecided" else colour
    axes.plot([x(result.value)], [y], marker, color=colour, markerfacecolor=fill, markersize=6.5, zorder=4)


def _scale(result: Result) -> tuple[float, float]:
    """Both ends of a line's scale: bounds, interval and, for a change, 0, with a margin."""
    ends = [result.value, result.low, result.high, result.line.low, result.line.high]
    ends += [] if result.line.quantity == "level" else [0.0]
    known = [each for each in ends if each is not None and math.isfinite(each)]
    low, high = min(known), max(known)
    margin = 0.12 * (high - low) or 1.0
    return low - margin, high + margin


def _key(axes: Any) -> None:
    for x, (word, (colour, marker)) in zip((0.0, 0.36, 0.66), LOOK.items(), strict=True):
        fill = PAPER if word == "undecided" else colour
        axes.plot([x], [KEY_AT], marker, color=colour, markerfacecolor=fill, markersize=5, clip_on=False)
        axes.text(x + 0.035, KEY_AT, word, va="center", color=LOOK["undecided"][0], fontsize=8)
    axes.text(
        -1.0,
        KEY_AT,
        "shaded: where the line holds; dotted: no change",
        va="center",
        color=LOOK["undecided"][0],
        fontsize=8,
    )


def _kind(result: Result) -> str:
    return "keep" if result.line.is_keep else "claim"


def _number(line: Line, value: float) -> str:
    if line.quantity == "relative":
        return f"{value:+.1%}".replace("%", " %")
    form = format_of(line.metric)
    return f"{value:+{form}}" if line.quantity == "change" else f"{value:{form}}"


def _found(result: Result) -> str:
    return "" if result.value is None else _number(result.line, result.value)


def _interval(result: Result) -> str:
    if result.low is None or result.high is None:
        return ""
    if not (math.isfinite(result.low) and math.isfinite(result.high)):
        return "(no interval)"
    return f"({_number(result.line, result.low)} to {_number(result.line, result.high)})"


def _level(result: Result) -> str:
    return "" if result.level is None else f"{100 * result.level:.1f} %"


def _p(result: Result) -> str:
    p = result.p_opposite if result.outcome == "refuted" else result.p_value
    return "" if p is None else "< .001" if p < 0.001 else f"{p:.3f}"


def sentence(result: Result) -> str:
    """One line in words: what was claimed, what was found, and the outcome."""
    return f"{_kind(result)} {result.line.text}: {_found(result)} {_interval(result)}, {result.reason}"
