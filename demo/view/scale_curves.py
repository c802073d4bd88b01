"""Metrics by the scale of an adapter as HTML: a small curve each, and all of them as a table."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from demo.view.charts import nice_ticks
from demo.view.details import number, signed
from demo.view.html import Markup, fragment, one_line
from demo.view.training import STATES, duration

if TYPE_CHECKING:
    from demo.scale_curves import ScaleCurves

WIDTH, HEIGHT = 300, 112
LEFT, RIGHT, TOP, BOTTOM = 38, 10, 12, 20


def card(found: "ScaleCurves") -> Markup:
    """The state of a version's measurement and its newest result."""
    from demo.scale_curves import PROMPTS, settings

    tone, mark = STATES.get(found.state, ("plain", ""))
    each = found.record["curves"] if found.record else []
    flags = " ".join(f"-P {name}={value}" for name, value in settings(found.reference).items())
    return fragment(
        "scale_curves.html",
        name=found.reference,
        state=found.state,
        tone=tone,
        mark=mark,
        prompts=PROMPTS,
        phase=found.phase if found.state == "running" else "",
        percent=f"{100 * found.share:.0f}",
        time=duration(found.seconds),
        error=one_line(found.error),
        curves=[(one["label"], one["n"], one["on_rows"], curve(one)) for one in each],
        table=_table(each),
        command=f"mlflow run . -e evaluate {flags}",
    )


def curve(one: Mapping[str, Any]) -> Markup:
    """One metric as SVG; bars are 95 % intervals of the change from the base, laid around the base's value."""
    points = one["points"]
    scales = [each["scale"] for each in points]
    bars = [(each["scale"], each["bar"]) for each in points if each.get("bar")]
    ends = [end for _, bar in bars for end in bar]
    values = [each["value"] for each in points]
    ticks, low, high = nice_ticks(min([*values, *ends]), max([*values, *ends])), min(scales), max(scales)

    def x(scale: float) -> float:
        return round(LEFT + (scale - low) / ((high - low) or 1) * (WIDTH - LEFT - RIGHT), 1)

    def y(value: float) -> float:
        return round(TOP + (ticks[-1] - value) / (ticks[-1] - ticks[0]) * (HEIGHT - TOP - BOTTOM), 1)

    return fragment(
        "scale_curve.svg",
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=WIDTH - RIGHT,
        top=TOP,
        bottom=HEIGHT - BOTTOM,
        text=f"{one['label']} by scale: " + ", ".join(f"{each['scale']:g}: {number(each['value'])}" for each in points),
        ticks=[(y(tick), f"{tick:g}" if abs(tick) < 1e5 else number(tick)) for tick in ticks],
        marks=[(x(at), words) for at, words in ((0, "base"), (1, "version")) if low <= at <= high],
        bars=[(x(scale), y(low_end), y(high_end)) for scale, (low_end, high_end) in bars],
        points=[(x(each["scale"]), y(each["value"])) for each in points],
        ends=[(x(each), f"{each:g}") for each in scales if f"{each:g}" in ("-1", "0", "0.5", "1", "1.5", "2", "3")],
    )  # fmt: skip


def _table(each: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """(scale, [(value, change with its interval, tone), ...]) by metric."""
    if not each:
        return []
    scales = [point["scale"] for point in each[0]["points"]]
    by_scale = [{point["scale"]: point for point in one["points"]} for one in each]
    return [(f"{scale:g}", [_cell(one.get(scale)) for one in by_scale]) for scale in scales]


def _cell(point: Mapping[str, Any] | None) -> tuple[str, str, str]:
    if point is None:
        return "–", "", ""
    if not point["scale"]:
        return number(point["value"]), "", ""
    if point["low"] is None or point["high"] is None:
        return number(point["value"]), "too few for an interval", ""
    is_clear = point["low"] > 0 or point["high"] < 0
    text = f"{signed(point['low'])} to {signed(point['high'])}"
    return number(point["value"]), text, "parley-clear" if is_clear else ""
