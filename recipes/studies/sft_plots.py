"""The pirate study in one picture: each figure against the epochs, one line a set and kind of labels.

Beside the PNG stand the same figures as CSV and a description for those who can't see it (``.txt``).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evals.plots import blank_figure, describe, dress, plain, write_table
from evals.significance import MeanOverSeeds, mean_over_seeds
from recipes.studies.noise_plots import COLOURS, MARKS
from train.plots import INK, SOFT

PANELS = {"chrf": "chrF", "lexicon_rate": "pirate lexicon", "content_rate": "content kept", "loop_rate": "loop",
          "stop_rate": "stop"}  # fmt: skip
Cells = Sequence[Mapping[str, Any]]


def pirate_curves(cells: Cells, title: str, path: Path) -> None:
    """Draw means over seeds with their 95 % intervals; response labels are solid lines, all labels dashed."""
    shown = {key: name for key, name in PANELS.items() if any(cell.get(key) is not None for cell in cells)}
    sets = list(dict.fromkeys(cell["set"] for cell in cells))
    lines = list(dict.fromkeys((cell["set"], cell["labels"]) for cell in cells))
    means = {(key, *line): _means(cells, *line, key) for key in shown for line in lines}
    figure, grid = blank_figure(11.1, 6.4, 2, 3, squeeze=False)
    places = [axes for row in grid for axes in row]
    styles = {line: _style(sets.index(line[0]), line[1]) for line in lines}
    for axes, (key, name) in zip(places, shown.items(), strict=False):
        dress(axes)
        axes.set_title(name, loc="left", color=INK, fontsize=10)
        axes.set_xlabel("epochs", color=SOFT, fontsize=9)
        axes.set_xscale("log")
        ticks = sorted({cell["epochs"] for cell in cells})
        axes.set_xticks(ticks, labels=[str(n) for n in ticks])
        axes.minorticks_off()
        if key != "chrf":  # the others are shares
            axes.set_ylim(-0.03, 1.03)
        for line in lines:
            _draw(axes, means[key, *line], styles[line])
    legend = places[len(shown)]
    for line in lines:
        legend.plot([], [], **styles[line], label=plain(f"{Path(line[0]).name}, {line[1]} labels"))
    legend.legend(loc="upper left", frameon=False, labelcolor=INK, fontsize=10, borderaxespad=0)
    for axes in places[len(shown) :]:
        axes.set_axis_off()
    figure.suptitle(plain(title), x=0.01, ha="left", color=INK, fontsize=12)
    figure.savefig(path)
    records = [(*line, key, n, found.n, found.mean, found.low, found.high)
               for key in shown for line in lines for n, found in means[key, *line].items()]  # fmt: skip
    write_table(path, ["set", "labels", "metric", "epochs", "n", "mean", "low", "high"], records)
    describe(path, f"{title}. " + " ".join(
        f"{name}, {line[0]} with {line[1]} labels: "
        + ", ".join(f"{found.mean:.3f} after {n}" for n, found in means[key, *line].items()) + "."
        for key, name in shown.items() for line in lines if means[key, *line]))  # fmt: skip


def _means(cells: Cells, name: str, labels: str, key: str) -> dict[int, MeanOverSeeds]:
    by_length: dict[int, list[Any]] = {}
    for cell in cells:
        if (cell["set"], cell["labels"]) == (name, labels):
            by_length.setdefault(cell["epochs"], []).append(cell.get(key))
    found = {n: mean_over_seeds(by_length[n]) for n in sorted(by_length)}
    return {n: mean for n, mean in found.items() if mean is not None}


def _style(i: int, labels: str) -> dict[str, Any]:
    dash = "-" if labels == "response" else (0, (4, 3))
    return {"color": COLOURS[i % len(COLOURS)], "marker": MARKS[i % len(MARKS)], "linestyle": dash, "linewidth": 2}


def _draw(axes: Any, means: Mapping[int, MeanOverSeeds], style: Mapping[str, Any]) -> None:
    axes.plot(list(means), [found.mean for found in means.values()], markersize=5, **style)
    bands = [(n, found.low, found.high) for n, found in means.items() if found.low is not None]
    if bands:
        axes.fill_between(*zip(*bands, strict=True), color=style["color"], alpha=0.1, linewidth=0)
