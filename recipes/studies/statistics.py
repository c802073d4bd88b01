"""Figures of a study over its seeds: means with intervals, differences by pairs of equal seeds, and their words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev
from typing import Any

from evals.significance import ANY, SHARE, MeanOverSeeds, mean_over_seeds
from recipes.studies.grid import CLEAN

Records = Sequence[Mapping[str, Any]]
#: Figures of cells that are no shares, nor means of shares.
SIGNED = ("pruning_gain",)
#: A mean over seeds; None where it is undefined or no cell says it.
Mean = MeanOverSeeds | None


@dataclass(frozen=True)
class LearnerSummary:
    """One learner's cells of a noise study. Rate 0 of any kind is the clean control."""

    name: str
    records: Records

    @property
    def kinds(self) -> list[str]:
        """The kinds of corruption, without the control."""
        return list(dict.fromkeys(each["kind"] for each in self.records if each["kind"] != CLEAN))

    def rates(self, kind: str) -> list[float]:
        """The rates above 0 that have an ended cell of the kind."""
        return sorted({each["rate"] for each in self.records if each["kind"] == kind})

    def by_seed(self, kind: str, rate: float, key: str) -> dict[int, float]:
        """The defined values of a figure by seed."""
        kind = kind if rate else CLEAN
        here = [each for each in self.records if each["kind"] == kind and each["rate"] == rate]
        return {each["seed"]: each[key] for each in here if each.get(key) is not None}

    def mean(self, kind: str, rate: float, key: str) -> Mean:
        """Its mean over seeds."""
        return mean_over_seeds(list(self.by_seed(kind, rate, key).values()), ANY if key in SIGNED else SHARE)

    def change(self, kind: str, rate: float, key: str, other_kind: str = CLEAN, other_rate: float = 0.0) -> list[float]:
        """The figure less that of another place, by default of the clean control, for each seed that has both."""
        these, those = self.by_seed(kind, rate, key), self.by_seed(other_kind, other_rate, key)
        return [these[seed] - those[seed] for seed in these if seed in those]


def p_of(differences: Sequence[float]) -> float | None:
    """Two-sided p of Student's t that their mean is 0; None from fewer than two, or where all are the same."""
    from scipy.stats import t

    if len(differences) < 2 or stdev(differences) <= 1e-12 * max(1.0, abs(fmean(differences))):
        return None
    in_errors = fmean(differences) / (stdev(differences) / sqrt(len(differences)))
    return float(2 * t.sf(abs(in_errors), len(differences) - 1))


def said(found: Mean, signed: bool = False) -> str:
    """``0.812 (0.790 to 0.834)``, or what is missing of that."""
    if found is None:
        return "undefined"
    form = "+.3f" if signed else ".3f"
    if found.low is None or found.high is None:
        return f"{found.mean:{form}} (one seed, no interval)"
    return f"{found.mean:{form}} ({found.low:{form}} to {found.high:{form}})"


def side_of(found: Mean, value: float) -> str:
    """Where the whole interval lies: ``above``, ``below``, ``around`` (it holds the value), or ``unknown``."""
    if found is None or found.low is None or found.high is None:
        return "unknown"
    if found.low > value:
        return "above"
    return "below" if found.high < value else "around"


def p_said(p: float | None) -> str:
    """A p-value in words."""
    return "p unknown" if p is None else "p < .001" if p < 0.001 else f"p = {p:.3f}"
