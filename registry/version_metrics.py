"""A version's scores beside its base's, read from the tags that a version carries, and its headline for lists."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: Labels of metrics by their names, in the order in which they are shown.
Labels = Mapping[str, str]
SIDES = ("base/", "test/")
HEADLINES = 2
#: The tag that names the style which a version was trained in, such as pirate.
STYLE = "style"
LARGEST = 1e300  # the store keeps infinity as the largest number it has


@dataclass(frozen=True)
class Score:
    """One metric of a version and of its base on the same rows; None where one of the two was not measured.

    ``label`` is its name for readers.
    """

    name: str
    base: float | None
    tuned: float | None
    label: str


def headline(scores: Sequence[Score]) -> str:
    """The first two scores, as in ``lexicon 0.02 -> 0.94 · chrF 13.2 -> 92.1``."""
    parts = []
    for score in scores:
        if score.tuned is not None:
            before = "" if score.base is None else f"{figure(score.base)} -> "
            parts.append(f"{score.label} {before}{figure(score.tuned)}")
    return " · ".join(parts[:HEADLINES])


def figure(value: float) -> str:
    """``value`` in as many digits as are read: 0.94, 92.1, 0.0012, 1e+06."""
    if value and not 0.005 <= abs(value) < 1e5:
        return f"{value:.2g}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def scores_of(found: Mapping[str, Any], labels: Labels) -> tuple[Score, ...]:
    """The scores among tags or metrics called ``base/NAME`` and ``test/NAME``: those of ``labels`` first, in its order;
    others by their names, which are their labels. The ends of a metric's interval are no scores of their own.
    """
    sides = {side: {k.removeprefix(side): number(v) for k, v in found.items() if k.startswith(side)} for side in SIDES}
    base, tuned = sides.values()
    ranks = {name: rank for rank, name in enumerate(labels)}
    known = {*base, *tuned}
    names = sorted(
        (name for name in known if metric_of(name) not in known - {name}),
        key=lambda name: (ranks.get(name, len(ranks)), name),
    )
    scores = (Score(name, base.get(name), tuned.get(name), labels.get(name, name)) for name in names if name)
    return tuple(score for score in scores if (score.base, score.tuned) != (None, None))


def metric_of(name: str) -> str:
    """The metric that ``name`` is, or an end of whose interval it is: ``chrf`` of ``chrf_low``."""
    return name.removesuffix("_low").removesuffix("_high")


def number(value: Any) -> float | None:
    """``value`` as a number, or None where it is none: text, infinity, or what the store keeps in its place."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) and abs(found) < LARGEST else None


def has_style(tags: Mapping[str, str]) -> bool:
    """Whether a version was trained in a style that a word list knows; older versions have a metric of it instead."""
    return STYLE in tags or "test/lexicon_rate" in tags
