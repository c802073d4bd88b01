"""An estimate's p-values and intervals are one thing: p is the tail at which the interval ends at the bound."""

import numpy as np
import pytest
from scipy.stats import binomtest

from evals.bootstrap import LEAST_ROWS, bootstrap
from evals.estimates import Relative, Share
from evals.paired import ratio
from evals.paired_shares import PairedShares, RelativeShares


def rows(values):
    return np.stack([np.asarray(values, dtype=float), np.ones(len(values))], axis=1)


ESTIMATES = {
    "bootstrap": bootstrap(rows(np.random.default_rng(0).gamma(2, 1, 40)), ratio),
    "relative": Relative(bootstrap(rows(np.random.default_rng(1).normal(0.2, 1, 40)), ratio)),
    "share": Share(31, 45),
    "paired": PairedShares(20, 12, 4, 9),
    "paired, none lost": PairedShares(20, 12, 0, 9),
    "relative share": RelativeShares(PairedShares(20, 12, 4, 9)),
}


@pytest.mark.parametrize("name", ESTIMATES)
@pytest.mark.parametrize("tail", [0.2, 0.025, 0.004])
def test_p_at_an_end_of_the_interval_is_its_tail(name, tail):
    found = ESTIMATES[name]
    low, high = found.interval(tail)
    assert low < found.value < high
    assert (found.p_above(low), found.p_below(high)) == pytest.approx((tail, tail), abs=1e-6)
    assert found.p_above(high) > 0.5 and found.p_below(low) > 0.5


def test_a_share_has_the_exact_binomial_p():
    assert Share(45, 45).p_above(0.9) == pytest.approx(0.9**45)
    assert Share(31, 45).p_below(0.8) == pytest.approx(binomtest(31, 45, 0.8, "less").pvalue)


def test_the_relative_change_of_shares_is_theirs_over_the_first():
    found = RelativeShares(PairedShares(20, 12, 4, 9))
    assert found.value == pytest.approx(32 / 24 - 1)
    assert (found.interval(0.025)[0] > 0) == (PairedShares(20, 12, 4, 9).interval(0.025)[0] > 0)


def test_a_tail_that_the_resamples_do_not_reach_has_no_ends():
    found = bootstrap(rows(np.arange(20.0)), ratio)
    assert found.interval(1e-5) == (-np.inf, np.inf)
    assert found.p_above(-100) == pytest.approx(1 / 2000, rel=0.01)


def test_few_rows_and_equal_rows_have_no_bootstrap():
    assert bootstrap(rows(range(LEAST_ROWS - 1)), ratio) is None
    assert bootstrap(rows([3] * 20), ratio) is None
