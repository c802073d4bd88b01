"""Pictures of one classifier, or of two side by side: reliability, confusion.

Beside each PNG stand the same figures as CSV and a description for those who can't see it (``.txt``).
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from data.figures import (
    EVAL,
    INK,
    PAPER,
    SOFT,
    TRAIN,
    WARM,
    blank_figure,
    describe,
    plain,
    style_axes,
    write_table,
)
from evals.calibration import Bin, reliability_bins
from evals.classification import ClassificationReport, Prediction
from evals.intervals import wilson
from evals.metric import format_value


def reliability(
    truth: Sequence[int], predictions: Sequence[Prediction], report: ClassificationReport, title: str, path: Path
) -> bool:
    """Accuracy against confidence, and how often each confidence occurs; False, and no file, without probabilities.

    ``report`` is that of the same predictions. Bars are 95 % Wilson intervals.
    """
    known = [
        (label, each.p_positive) for label, each in zip(truth, predictions, strict=True) if each.p_positive is not None
    ]
    if not known or report.ece is None or report.mean_confidence is None:
        return False
    labels, p_positive = zip(*known, strict=True)
    bins = reliability_bins(labels, p_positive)
    figure, (upper, lower) = blank_figure(6.4, 7.4, 2, 1, height_ratios=(3.2, 1), sharex=True)
    upper.plot([0.5, 1], [0.5, 1], color=SOFT, linewidth=1.2, linestyle=(0, (5, 4)), zorder=1)
    for each in bins:
        upper.plot(
            [each.confidence] * 2,
            _interval(each),
            color=TRAIN,
            alpha=0.7,
            linewidth=4,
            solid_capstyle="round",
            zorder=2,
        )
        upper.plot([each.confidence] * 2, [each.confidence, each.accuracy], color=WARM, linewidth=1.2, zorder=3)
    upper.plot(*_points(bins), "o", color=EVAL, markersize=7, markeredgecolor=PAPER, markeredgewidth=1, zorder=4)
    upper.set_ylabel("share that is right")
    upper.set_ylim(min(0.5, *(each.accuracy for each in bins), *(_interval(each)[0] for each in bins)) - 0.03, 1.03)
    _histogram(lower, [max(p, 1 - p) for p in p_positive], report.mean_confidence)
    _finish(
        figure,
        upper,
        f"{title}\n{_calibration_text(report)}\nabove the dashed line: underconfident; below: overconfident",
    )
    figure.savefig(path)
    _write_bins(path, bins)
    describe(path, f"{title}. Reliability diagram of {len(known):,} rows: {_calibration_text(report)}. {_shape(bins)}")
    return True


def confusion(reports: Sequence[tuple[str, ClassificationReport]], title: str, path: Path) -> None:
    """True label against outcome, one table a model (such as base and tuned), coloured by the share of the row."""
    figure, places = blank_figure(0.4 + 4.6 * len(reports), 3.2, 1, len(reports), squeeze=False)
    for axes, (name, report) in zip(places[0], reports, strict=True):
        _matrix(axes, report)
        axes.set_title(f"{name}: accuracy {format_value(report.accuracy)}", loc="left", color=INK, fontsize=10, pad=8)
    places[0][0].set_ylabel("true label", color=SOFT)
    figure.suptitle(plain(title), x=0.015, ha="left", color=INK, fontsize=11)
    figure.get_layout_engine().set(wspace=0.05)
    figure.savefig(path)
    names = [*reports[0][1].labels, "invalid", "error"]
    records = [(name, report.labels[label], *report.confusion[label]) for name, report in reports for label in (0, 1)]
    write_table(path, ["model", "true", *names], records)
    rows = (
        f"{name}, true {label}: " + ", ".join(f"{count} {word}" for count, word in zip(counts, names, strict=True))
        for name, label, *counts in records
    )
    describe(path, f"{title}. Confusion matrix: answers by true label. {'; '.join(rows)}.")


def _matrix(axes: Any, report: ClassificationReport) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    good, bad = (LinearSegmentedColormap.from_list("", ("#f4f7f9", colour)) for colour in (EVAL, WARM))
    for label, counts in enumerate(report.confusion):
        total = sum(counts)
        for place, count in enumerate(counts):
            share = count / total if total else 0.0
            x = place + (0.18 if place > 1 else 0)  # what is no class stands apart
            colour = (good if place == label else bad)(share)
            axes.add_patch(_tile(x, label, colour))
            ink = PAPER if share > 0.55 else INK
            axes.text(x + 0.5, label + 0.43, f"{count:,}", ha="center", va="center", color=ink, fontsize=12)
            if total:
                axes.text(x + 0.5, label + 0.7, f"{100 * share:.1f} %", ha="center", va="center", color=ink, fontsize=8)
    axes.set_xlim(0, 4.18)
    axes.set_ylim(2, 0)
    axes.set_xticks([0.5, 1.5, 2.68, 3.68], [*map(plain, report.labels), "invalid", "error"])
    axes.set_yticks([0.5, 1.5], [plain(label) for label in report.labels], rotation=90, va="center")
    axes.set_xlabel("answer", color=SOFT)
    axes.tick_params(length=0, colors=INK)
    axes.spines[:].set_visible(False)


def _tile(x: float, y: float, colour: Any) -> Any:
    from matplotlib.patches import FancyBboxPatch

    style = "round,pad=0,rounding_size=0.06"
    return FancyBboxPatch((x + 0.03, y + 0.03), 0.94, 0.94, boxstyle=style, facecolor=colour, linewidth=0)


def _histogram(axes: Any, confidence: Sequence[float], mean: float) -> None:
    axes.hist(confidence, bins=[0.5 + i / 50 for i in range(26)], color=TRAIN, edgecolor=PAPER, linewidth=0.8)
    axes.axvline(mean, color=EVAL, linewidth=1.6)
    axes.set_ylim(0, 1.3 * axes.get_ylim()[1])  # room for the figure above the highest bar
    right = mean > 0.75
    axes.annotate(
        f"mean {mean:.3f}",
        (mean, 0.97),
        xycoords=("data", "axes fraction"),
        xytext=(-5 if right else 5, 0),
        textcoords="offset points",
        ha="right" if right else "left",
        va="top",
        color=EVAL,
        fontsize=9,
    )
    axes.set_ylabel("rows")
    axes.set_xlabel("confidence: probability of the likelier label")
    axes.set_xlim(0.49, 1.01)


def _calibration_text(report: ClassificationReport) -> str:
    low, high = report.ece_interval or (0.0, 0.0)
    text = f"ECE {format_value(report.ece)} ({low:.3f} to {high:.3f}) in bins of equal mass"
    text += f", {format_value(report.ece_equal_width)} of equal width"
    return f"{text}; a calibrated model would show {format_value(report.ece_if_calibrated)}"


def _shape(bins: Sequence[Bin]) -> str:
    first, last = bins[0], bins[-1]
    return (
        f"The least sure bin has confidence {first.confidence:.3f} and is right on {first.accuracy:.3f} of its rows, "
        f"the surest has {last.confidence:.3f} and is right on {last.accuracy:.3f}."
    )


def _points(bins: Iterable[Bin]) -> tuple[list[float], list[float]]:
    pairs = [(each.confidence, each.accuracy) for each in bins]
    return [x for x, _ in pairs], [y for _, y in pairs]


def _interval(each: Bin) -> tuple[float, float]:
    rows = max(1, round(each.rows))
    return wilson(min(rows, round(each.accuracy * rows)), rows)


def _finish(figure: Any, first: Any, title: str) -> None:
    heading, _, more = title.partition("\n")
    first.set_title(plain(heading) + "\n\n", loc="left", color=INK, fontsize=11)
    first.text(0, 1.015, more, transform=first.transAxes, color=SOFT, fontsize=9, linespacing=1.4)
    for axes in figure.axes:
        style_axes(axes)


def _write_bins(path: Path, bins: Iterable[Bin]) -> None:
    header = ["confidence_from", "confidence_to", "rows", "confidence", "accuracy", "low", "high"]
    write_table(path, header, [(b.low, b.high, b.rows, b.confidence, b.accuracy, *_interval(b)) for b in bins])
