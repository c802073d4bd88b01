"""A version's scores beside its base's, read from the tags that a version carries, and its headline for lists."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: the scores that come first, in this order, and the names that readers know them by; any other is shown by its key
LABELS = {
    "lexicon_rate": "lexicon",
    "chrf": "chrF",
    "content_rate": "content kept",
    "accuracy": "accuracy",
    "auc": "AUC",
    "f1": "F1",
    "ece": "ECE",
    "loss": "loss",
    "perplexity": "perplexity",
    "echo_rate": "echo",
    "loop_rate": "loop",
    "stop_rate": "stop",
}
SIDES = ("base/", "test/")
HEADLINES = 2
LARGEST = 1e300  # the store keeps infinity as the largest number it has


@dataclass(frozen=True)
class Score:
    """One metric of a version and of its base on the same rows; None where one of the two was not measured."""

    name: str
    base: float | None
    tuned: float | None

    @property
    def label(self) -> str:
        """The metric's name for readers."""
        return LABELS.get(self.name, self.name)


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


def scores_of(found: Mapping[str, Any]) -> tuple[Score, ...]:
    """The scores among tags or metrics called ``base/NAME`` and ``test/NAME``: those in ``LABELS`` first."""
    sides = {side: {k.removeprefix(side): number(v) for k, v in found.items() if k.startswith(side)} for side in SIDES}
    base, tuned = sides.values()
    ranks = {name: rank for rank, name in enumerate(LABELS)}
    names = sorted({*base, *tuned}, key=lambda name: (ranks.get(name, len(ranks)), name))
    scores = (Score(name, base.get(name), tuned.get(name)) for name in names if name)
    return tuple(score for score in scores if (score.base, score.tuned) != (None, None))


def number(value: Any) -> float | None:
    """``value`` as a number, or None where it is none: text, infinity, or what the store keeps in its place."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) and abs(found) < LARGEST else None
