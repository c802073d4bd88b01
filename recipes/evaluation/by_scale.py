"""Metrics of a LoRA version against the scale of its adapter: 0 is the base, 1 the version, as it was trained."""

import csv
import io
import json
import math
import time
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.columns import aligned
from data.errors import UserError
from data.figures import EVAL, INK, PAPER, SOFT, WARM, blank_figure, describe, plain, style_axes
from evals import metrics
from evals.generation import Decoding, answer_scaled, scored
from evals.paired import Difference
from evals.suites import table
from evals.suites.language_model import LanguageModel
from inference.lora import UnsupportedAdapter, configuration, require_plain
from recipes.evaluation import judged, own_suites
from recipes.evaluation.config import SCALES_RECORD, EvaluateConfig
from recipes.evaluation.models import Sides
from recipes.sft.data import has_style
from recipes.version_models import load
from registry.runs import Run
from train.base_model import context_length

#: The suites that are measured where the setting names none, and the one beside it where a style is known.
SIDE_EFFECTS, SPREAD = "everyday", "spread"
PICTURE = "scales.png"
WIDTH, HEIGHT, MARGIN, COLUMNS = 9.0, 1.9, 0.9, 2


@dataclass(frozen=True)
class Point:
    """One metric at one scale; ``change``: how much it differs from the base on the same rows or items."""

    scale: float
    change: Difference


@dataclass(frozen=True)
class Curve:
    """A metric at every scale, ascending. ``on_rows``: of the answers to held-out rows, else of a suite's items."""

    name: str
    on_rows: bool
    points: tuple[Point, ...]

    @property
    def label(self) -> str:
        """Its name for readers."""
        known = metrics.entry(self.name)
        return known.shown_as if known and self.on_rows else self.name

    @property
    def format(self) -> str:
        """The format specification of its values."""
        return metrics.format_of(self.name)

    def bar(self, point: Point) -> tuple[float, float] | None:
        """The ends of the bar of a point: its interval around the base's value, within the range of the metric."""
        low, high, base = point.change.low, point.change.high, point.change.before
        if low is None or high is None or not point.scale:
            return None
        known = metrics.entry(self.name)
        least, most = known.range if known else (-math.inf, math.inf)
        return min(max(base + low, least), most), min(max(base + high, least), most)


def measure(config: EvaluateConfig, sides: Sides, folder: Path) -> Generator[str, None, list[Curve]]:
    """Measure the version at every scale; a line for each part that is done.

    The answers at all scales are computed in one batch.

    Raises:
        UserError: the version has no plain LoRA adapter, or there are no prompts.
    """
    require_scalable(sides)
    rows, scales = judged.prompts(config, sides), config.scale_values()
    style, decoding = has_style(rows), Decoding(config.max_new_tokens)
    named = config.suite or ",".join([SIDE_EFFECTS, *([SPREAD] if style else [])])
    suites = own_suites.choose(named, sides, config.seed, folder)
    model, tokenizer = load(sides.tuned)
    yield f"Scales  {', '.join(f'{each:g}' for each in scales)} on {len(rows)} prompts; suites {named}"
    answers = answer_scaled(model, tokenizer, rows, decoding, scales, whose=f"{len(scales)} scales'")
    yield f"Answers {len(scales) * len(rows)}"
    found: list[dict[str, np.ndarray]] = []
    for scale, given in zip(scales, answers, strict=True):
        with scaled(model, scale):
            scores = scored(model, tokenizer, rows, (), given, context_length(model), style)
            of_suites = table.evaluate(LanguageModel(model, tokenizer, Decoding()), suites)
        found.append({**scores.statistics, **table.statistics(of_suites)})
        yield f"Scale   {scale:g} measured, {len(found)} of {len(scales)}"
    return curves(scales, found, config.seed)


def require_scalable(sides: Sides) -> None:
    """Check that the version is a plain LoRA adapter.

    Raises:
        UserError: it is not.
    """
    location = sides.tuned
    if location.info.kind != "lora" or location.folder is None:
        raise UserError(f"scales: {sides.reference} has no adapter that could be scaled: it is {location.info.kind}")
    try:
        require_plain(configuration(location.folder))
    except UnsupportedAdapter as error:
        raise UserError(f"scales: only a plain LoRA adapter can be scaled: {error}") from error


def scaled(model: Any, scale: float) -> Any:
    """A context in which the adapter of ``model``, a PEFT model, is multiplied by ``scale``."""
    from peft.helpers import rescale_adapter_scale

    return rescale_adapter_scale(model, scale)


def curves(scales: Sequence[float], found: Sequence[dict[str, np.ndarray]], seed: int) -> list[Curve]:
    """The curve of every headline metric of answers and of every metric of a suite, in the order of reports."""
    base = found[scales.index(0.0)]
    changes = [metrics.changes(base, each, seed) for each in found]
    wanted = [each.name for each in metrics.in_order("answers") if each.headline]
    names = [*wanted, *(name for name in base if "/" in name)]
    out = []
    for name in names:
        points = [Point(at, each[name]) for at, each in zip(scales, changes, strict=True) if name in each]
        out += [Curve(name, "/" not in name, tuple(points))] if points else []
    return out


def record(run: Run, reference: str, found: Sequence[Curve]) -> None:
    """Keep the curves: as metrics ``scale/NAME`` whose step is the scale in percent, as JSON and CSV, and a picture."""
    now_ms = int(time.time() * 1000)  # a metric without a time has no steps below 0
    for curve in found:
        for point in curve.points:
            run.log(round(100 * point.scale), {f"scale/{curve.name}": point.change.after}, now_ms)
    run.flush()
    run.text(as_json(reference, found), SCALES_RECORD)
    run.text(as_csv(found), Path(SCALES_RECORD).with_suffix(".csv").name)
    picture = run.folder / PICTURE
    write_picture(found, f"{reference} against the scale of its adapter", picture)
    run.file(picture)
    run.file(picture.with_suffix(".txt"))
    run.chart(picture, "Scales")


def as_json(reference: str, found: Sequence[Curve]) -> str:
    """Every curve with its label, and its values and changes from the base with 95 % intervals, by scale."""
    each = [
        {"name": curve.name, "label": curve.label, "on_rows": curve.on_rows, "n": curve.points[0].change.n,
         "points": [{"scale": point.scale, "value": point.change.after, "bar": curve.bar(point),
                     **asdict(point.change)} for point in curve.points]}
        for curve in found
    ]  # fmt: skip
    return json.dumps({"version": reference, "curves": each}, indent=1)


HEADER = ("metric", "n", "scale", "value", "change", "low", "high")


def as_csv(found: Sequence[Curve]) -> str:
    """The same as a table; an interval that is not known is left empty."""
    out = io.StringIO()
    written = csv.writer(out)
    written.writerow(HEADER)
    for curve in found:
        for scale, change in ((each.scale, each.change) for each in curve.points):
            ends = ("" if end is None else end for end in (change.low, change.high))
            written.writerow([curve.name, change.n, scale, change.after, change.change, *ends])
    return out.getvalue()


def screen(found: Sequence[Curve]) -> str:
    """Every metric by scale, aligned for a terminal, with its change from the base and 95 % interval."""
    lines = [("metric", "n", "scale", "value", "change from the base (95 % interval)")]
    for curve in found:
        for i, point in enumerate(curve.points):
            label, n = ("", "") if i else (curve.label, str(point.change.n))
            change = point.change.text(curve.format) if point.scale else "the base"
            lines.append((label, n, f"{point.scale:g}", f"{point.change.after:{curve.format}}", change))
    return "\n".join(aligned(lines, right=(1, 2, 3)))


def write_picture(found: Sequence[Curve], title: str, path: Path) -> None:
    """Draw every curve to a PNG at ``path``, each in a plot of its own, with the figures in words beside it.

    Bars are 95 % intervals of the change from the base, laid around the base's value, within the metric's range.
    """
    rows = -(-len(found) // COLUMNS)
    figure, places = blank_figure(WIDTH, MARGIN + HEIGHT * rows, rows, COLUMNS, squeeze=False, sharex=True)
    for axes, curve in zip(places.flat, found, strict=False):
        _plot(axes, curve)
    for axes in places.flat[len(found) :]:
        axes.set_axis_off()
    figure.suptitle(plain(title), x=0.015, ha="left", color=INK, fontsize=11)
    figure.supxlabel("scale of the adapter: 0 is the base, 1 the version", color=INK, fontsize=9)
    figure.savefig(path, facecolor=PAPER)
    describe(path, f"{title}. {' '.join(_words(curve) for curve in found)}")


def _plot(axes: Any, curve: Curve) -> None:
    colour = EVAL if curve.on_rows else WARM
    axes.axvline(0, color=SOFT, linestyle=":", linewidth=1)
    axes.axvline(1, color=SOFT, linestyle=":", linewidth=1)
    axes.plot([each.scale for each in curve.points], [each.change.after for each in curve.points], "o-", color=colour)
    for each in curve.points:
        if ends := curve.bar(each):
            axes.plot([each.scale] * 2, ends, color=colour, alpha=0.35, linewidth=5, solid_capstyle="butt")
    words = "held-out prompts" if curve.on_rows else "items"
    axes.set_title(plain(f"{curve.label}, {curve.points[0].change.n} {words}"), loc="left", color=INK, fontsize=9)
    axes.margins(y=0.15)
    style_axes(axes)


def _words(curve: Curve) -> str:
    values = ", ".join(f"{each.scale:g}: {each.change.after:{curve.format}}" for each in curve.points)
    return f"{curve.label}, by scale ({values})."
