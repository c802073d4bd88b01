"""Cohen's kappa is scikit-learn's, its interval holds the truth, and it says where it is undefined."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from evals.agreement import agreement

CATEGORIES = ["left", "right", "tie"]


def raters(rng, n, copies):
    """Two raters: the second has the first one's category with the probability ``copies``, else one of its own.

    Their kappa is ``copies``.
    """
    first, other = (rng.choice(CATEGORIES, n, p=[0.4, 0.35, 0.25]) for _ in range(2))
    return first.tolist(), np.where(rng.random(n) < copies, first, other).tolist()


def test_kappa_is_that_of_scikit_learn():
    first, second = raters(np.random.default_rng(0), 50, 0.6)
    found = agreement(first, second)
    assert found.kappa == pytest.approx(cohen_kappa_score(first, second))
    assert found.low < found.kappa < found.high
    assert found.share == pytest.approx(np.mean([one == two for one, two in zip(first, second, strict=True)]))


@pytest.mark.parametrize(("n", "kappa"), [(12, 0.9), (25, 0.6), (50, 0.3)])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(n, kappa):
    rng = np.random.default_rng(3)
    found = [agreement(*raters(rng, n, kappa)) for _ in range(500)]
    assert 0.92 <= np.mean([each.low <= kappa <= each.high for each in found]) <= 0.98


def test_perfect_agreement_on_few_items_is_no_certainty():
    found = agreement(CATEGORIES, CATEGORIES)
    assert found.kappa == 1.0 and found.low < 0.3 and found.high == 1.0


def test_where_one_category_alone_is_used_kappa_is_undefined():
    found = agreement(["tie"] * 4, ["tie"] * 4)
    assert (found.share, found.kappa) == (1.0, None)
    assert "undefined" in found.text()
    assert agreement([], []) is None
