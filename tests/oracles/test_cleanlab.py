"""Wrong labels are ranked and counted as cleanlab does."""

import numpy as np
import pytest
from cleanlab.count import num_label_issues
from cleanlab.rank import get_self_confidence_for_each_label

from evals.label_errors import estimated_flips, losses


def drawn(seed):
    """(given labels, out-of-fold probability of label 1) of rows of which some labels are wrong."""
    random = np.random.default_rng(seed)
    n, rate, clear = random.integers(40, 600), random.uniform(0, 0.45), random.uniform(0.3, 3)
    true = random.integers(0, 2, n)
    given = np.where(random.random(n) < rate, 1 - true, true)
    return given, 1 / (1 + np.exp(-(2 * true - 1) * clear - random.standard_normal(n)))


@pytest.mark.parametrize("seed", range(12))
def test_the_estimated_number_of_wrong_labels_is_cleanlabs(seed):
    given, p = drawn(seed)
    theirs = num_label_issues(given, np.stack([1 - p, p], axis=1), estimation_method="off_diagonal_calibrated")
    assert abs(estimated_flips(p, given) - theirs) <= 1  # the two classes are rounded apart here


@pytest.mark.parametrize("seed", range(4))
def test_the_ranking_of_suspect_rows_is_cleanlabs(seed):
    given, p = drawn(seed)
    theirs = get_self_confidence_for_each_label(given, np.stack([1 - p, p], axis=1))
    assert np.exp(-losses(p, given)) == pytest.approx(theirs)
