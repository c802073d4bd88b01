"""Statistics of a study over its seeds: means with intervals, paired differences, p-values, and their formatting."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any, Literal

from evals.metric import Data
from evals.metrics import METRICS
from evals.significance import ANY, MeanOverSeeds, mean_over_seeds
from recipes.studies.grid import CLEAN

Record = Mapping[str, Any]
Records = Sequence[Record]
#: What the metrics of a noise study are computed from.
NOISE_DATA: tuple[Data, ...] = ("labels", "choices", "training")
#: A mean over seeds; None where no cell has the metric.
Mean = MeanOverSeeds | None
Side = Literal["above", "below", "around", "unknown"]


@dataclass(frozen=True)
class LearnerSummary:
    """The cells of one learner in a noise study. Rate 0 of any kind is the clean control."""

    name: str
    records: Records

    @property
    def kinds(self) -> list[str]:
        """The kinds of corruption, without the control."""
        return list(dict.fromkeys(each["kind"] for each in self.records if each["kind"] != CLEAN))

    def rates(self, kind: str) -> list[float]:
        """The rates above 0 at which a cell of the kind has ended."""
        return sorted({each["rate"] for each in self.records if each["kind"] == kind})

    def places(self) -> list[tuple[str, float]]:
        """(kind, rate) of the clean control, which is ("", 0), and of all other cells."""
        return [("", 0.0), *((kind, rate) for kind in self.kinds for rate in self.rates(kind))]

    def by_seed(self, kind: str, rate: float, key: str) -> dict[int, float]:
        """The defined values of a metric by seed."""
        kind = kind if rate else CLEAN
        here = [each for each in self.records if each["kind"] == kind and each["rate"] == rate]
        return {each["seed"]: each[key] for each in here if each.get(key) is not None}

    def mean(self, kind: str, rate: float, key: str) -> Mean:
        """The mean of a metric over seeds."""
        bounds = METRICS[key].range if key in METRICS else ANY
        return mean_over_seeds(list(self.by_seed(kind, rate, key).values()), bounds)

    def change(self, kind: str, rate: float, key: str, other_kind: str = CLEAN, other_rate: float = 0.0) -> list[float]:
        """Differences of a metric from another place, by default the clean control, one per seed that has both."""
        these, others = self.by_seed(kind, rate, key), self.by_seed(other_kind, other_rate, key)
        return [these[seed] - others[seed] for seed in these if seed in others]


def by_value(records: Records, key: str) -> dict[Any, list[Record]]:
    """The records by their value of ``key``, in the order in which values occur first."""
    found: dict[Any, list[Record]] = {}
    for each in records:
        found.setdefault(each[key], []).append(each)
    return found


def p_value(differences: Sequence[float]) -> float | None:
    """Two-sided p of Student's t-test that the mean difference is 0; None for fewer than two, or if all are equal."""
    from scipy.stats import ttest_1samp

    if len(differences) < 2 or stdev(differences) <= 1e-12 * max(1.0, abs(fmean(differences))):
        return None
    return float(ttest_1samp(differences, 0.0).pvalue)  # type: ignore[attr-defined]


def side_of(mean: Mean, value: float) -> Side:
    """Where the whole interval lies: above or below the value, around it, or unknown without an interval."""
    if mean is None or mean.low is None or mean.high is None:
        return "unknown"
    if mean.low > value:
        return "above"
    return "below" if mean.high < value else "around"


def format_mean(mean: Mean, signed: bool = False, note: bool = True) -> str:
    """``0.812 (0.790 to 0.834)``; without an interval the mean and, with ``note``, why there is none."""
    if mean is None:
        return "undefined"
    form = "+.3f" if signed else ".3f"
    if mean.low is None or mean.high is None:
        return f"{mean.mean:{form}}" + (" (one seed, no interval)" if note else "")
    return f"{mean.mean:{form}} ({mean.low:{form}} to {mean.high:{form}})"
