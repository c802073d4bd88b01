"""Whether a difference exceeds chance: two models on the same rows, several tests at once, a mean over seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from statistics import fmean

import numpy as np

from evals.classification import Prediction, from_probabilities
from evals.intervals import student_t
from evals.paired import Difference


@dataclass(frozen=True)
class Comparison:
    """Two models on the same ``n`` rows. ``only_before`` and ``only_after`` count rows that exactly one gets right.

    ``gain`` is the accuracy of the second less that of the first; None, like ``p_value``, where there are no rows.
    """

    n: int
    only_before: int
    only_after: int
    gain: float | None
    p_value: float | None


def compare(truth: Sequence[int], before: Sequence[Prediction], after: Sequence[Prediction]) -> Comparison:
    """McNemar's exact test, two-sided (McNemar 1947, Psychometrika 12, pp. 153-157).

    It is a binomial test of the rows that exactly one model gets right: between equally good models each would have
    half of them. Invalid answers and errors are wrong. Where the models never differ the p-value is 1.

    Raises:
        ValueError: not one prediction a row.
    """
    from scipy.stats import binomtest

    pairs = [
        (a.outcome == label, b.outcome == label) for label, a, b in zip(truth, before, after, strict=True)
    ]  # "invalid" and "error" equal no label
    lost, won = pairs.count((True, False)), pairs.count((False, True))
    if not pairs:
        return Comparison(0, 0, 0, None, None)
    p_value = float(binomtest(won, won + lost, 0.5).pvalue) if won + lost else 1.0
    return Comparison(len(pairs), lost, won, (won - lost) / len(pairs), p_value)


@dataclass(frozen=True)
class ClassifierComparison:
    """Two classifiers on the same rows: McNemar's test by their answers and by the probabilities of the labels.

    ``likelihoods`` takes the likelier label of each row as its answer, over the rows whose probabilities are known for
    both; ``answered`` is over the rows that both answered with a label. ``changes``: by metric, how much the second
    differs from the first.
    """

    answers: Comparison
    likelihoods: Comparison
    answered: Comparison
    changes: Mapping[str, Difference] = field(default_factory=dict)


def compare_classifiers(
    truth: Sequence[int], before: Sequence[Prediction], after: Sequence[Prediction], changes: Mapping[str, Difference]
) -> ClassifierComparison:
    """All three tests."""
    rows = list(zip(truth, before, after, strict=True))
    known = [(t, p, q) for t, a, b in rows if (p := _likelier(a)) is not None and (q := _likelier(b)) is not None]
    answered = [row for row in rows if not any(isinstance(each.outcome, str) for each in row[1:])]
    return ClassifierComparison(
        compare(truth, before, after),
        compare([t for t, _, _ in known], [p for _, p, _ in known], [q for _, _, q in known]),
        compare([t for t, _, _ in answered], [a for _, a, _ in answered], [b for _, _, b in answered]),
        changes,
    )


def _likelier(answer: Prediction) -> Prediction | None:
    """The likelier label; None where the probability is not known."""
    return None if answer.p_positive is None else from_probabilities([answer.p_positive])[0]


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's adjusted p-values, in the order given; None stands for a test that could not be made and stays None.

    The tests with an adjusted p below .05 contain a false positive in at most 5 % of studies (Holm 1979, A Simple
    Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of Statistics 6). Computed here because every
    training needs it: statsmodels takes a second to import and calls gc.collect() each time.
    """
    known = np.array([p for p in p_values if p is not None])
    order, adjusted = np.argsort(known), np.empty(len(known))
    steps = np.maximum.accumulate(known[order] * np.arange(len(known), 0, -1))
    adjusted[order] = np.minimum(steps, 1.0)
    left = iter(adjusted.tolist())
    return [None if p is None else next(left) for p in p_values]


#: The range of a share, and that of a value about whose range nothing is known.
SHARE, ANY = (0.0, 1.0), (-inf, inf)


@dataclass(frozen=True)
class MeanOverSeeds:
    """Mean of ``n`` defined values with the 95 % interval of Student's t; no interval from fewer than two values."""

    n: int
    mean: float
    low: float | None
    high: float | None


def mean_over_seeds(values: Sequence[float | None], bounds: tuple[float, float] = ANY) -> MeanOverSeeds | None:
    """The mean of the defined values with its interval, cut at ``bounds``; None where no value is defined.

    With three seeds the interval reaches 4.3 standard errors to each side.
    """
    known = [value for value in values if value is not None]
    if not known:
        return None
    mean = fmean(known)
    if len(known) < 2:
        return MeanOverSeeds(len(known), mean, None, None)
    low, high = student_t(known)
    return MeanOverSeeds(len(known), mean, max(bounds[0], low), min(bounds[1], high))


def format_p(p: float | None) -> str:
    """``p = 0.012``, ``p < .001`` or ``p unknown``."""
    return "p unknown" if p is None else "p < .001" if p < 0.001 else f"p = {p:.3f}"
