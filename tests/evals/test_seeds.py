"""Several seeds together: their spread and that of the items are told apart, and the interval holds both."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from evals import claims, claims_file, seeds
from evals.intervals import student_t
from evals.metrics import METRICS


def means(values):
    values = np.asarray(values, dtype=float)
    return np.stack([values, np.ones_like(values)], axis=1)


def trainings(rng, effects, n=45, noise=0.5):
    """Base and tuned values of one item a row; each training's effect is common to all of its items."""
    base, item = rng.normal(0, 1, n), rng.normal(0, noise, n)
    return [means(base)] * len(effects), [means(base + item + each) for each in effects]


def test_spread_over_seeds_and_over_items_are_told_apart():
    rng = np.random.default_rng(0)
    differing = seeds.pool(*trainings(rng, [0.5, 1.0, 1.5], noise=0.01), seeds.ratio)
    noisy = seeds.pool(*trainings(rng, [1.0, 1.0, 1.0], noise=0.5), seeds.ratio)
    assert differing.over_seeds == pytest.approx(0.5) and differing.over_items < 0.01
    assert noisy.over_seeds == pytest.approx(0, abs=1e-9) and noisy.over_items == pytest.approx(0.5 / 45**0.5, rel=0.3)
    assert differing.by_seed == pytest.approx((0.5, 1.0, 1.5), abs=0.02)


def test_three_seeds_that_differ_give_a_wide_interval_and_agreeing_ones_a_narrow():
    rng = np.random.default_rng(1)
    wide, narrow = (seeds.difference(*trainings(rng, each)) for each in ([0.5, 1, 1.5], [0.99, 1, 1.01]))
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)
    assert wide.low < 1 < wide.high and narrow.is_increase


@pytest.mark.parametrize(("number", "spread"), [(2, 0.3), (3, 0.05), (3, 0.3)])
def test_the_interval_covers_the_true_mean_over_seeds_and_items(number, spread):
    rng, hits, trials = np.random.default_rng(2), 0, 80
    for seed in range(trials):
        found = seeds.difference(*trainings(rng, rng.normal(1, spread, number)), seed=seed)
        hits += found.low <= 1 <= found.high
    assert hits / trials > 0.87  # 95 % is 76 of 80; below 70 with a chance of 1 %


def test_seeds_that_differ_alone_have_students_interval_and_what_items_add_is_taken_off():
    rng = np.random.default_rng(4)
    effects = [0.5, 1.0, 1.8]
    found = seeds.difference(*trainings(rng, effects, noise=1e-6))
    low, high = student_t(effects)
    assert (found.low, found.high) == pytest.approx((low, high), rel=0.02)
    widths = []
    for _ in range(
        15
    ):  # seeds that differ by the noise of their items alone: Student's t of three means is twice as wide
        base = rng.normal(0, 1, 45)
        pooled = seeds.difference([means(base)] * 3, [means(base + rng.normal(1, 0.5, 45)) for _ in range(3)])
        widths.append(pooled.high - pooled.low)
    assert np.median(widths) < 0.28


def test_claims_over_seeds_are_decided_by_the_pooled_interval_and_need_more_seeds_with_more_rows():
    rng = np.random.default_rng(3)
    before, after = trainings(rng, [0.1, 1.0, 1.9], noise=0.05)
    known = {"loss": METRICS["loss"].range}
    found = claims_file.parse("claims:\n  - loss: {above: +0}\n  - loss: {of: change, above: -3}\n", "c.yaml", known)
    measured = seeds.MeasuredSeeds([{"loss": each} for each in before], [{"loss": each} for each in after])
    first, second = claims.decide(found, measured.estimate, measured.n, seeds=3)
    assert (first.outcome, second.outcome) == ("undecided", "confirmed")
    more, more_seeds = first.more_rows, first.more_seeds
    assert first.reason == f"undecided ({more} more test rows and {more_seeds} more seeds would decide)"
    times = math.ceil((3 + more_seeds) / 3)
    assert first.n == 45 and times > 1 and more == pytest.approx(15 * more_seeds, abs=15)
    wide = [[{"loss": np.tile(each, (times, 1))} for each in side * times] for side in (before, after)]
    again, _ = claims.decide(found, seeds.MeasuredSeeds(*wide).estimate, measured.n, seeds=3 * times)
    assert again.outcome == "confirmed"


def test_equal_trainings_of_which_every_row_is_alike_have_the_interval_of_one():
    flags = means([0] * 30), means([1] * 30)
    found = seeds.difference([flags[0]] * 3, [flags[1]] * 3)
    assert found.change == 1 and 0.7 < found.low < found.high


def hits(rng, item, p, correlation=0.6):
    """Hits of a model with the share ``p``; ``item`` is what an item asks of every model."""
    noise = rng.standard_normal(len(item))
    return means(np.sqrt(correlation) * item + np.sqrt(1 - correlation) * noise < norm.ppf(p))


@pytest.mark.parametrize(("first", "second"), [(0.02, 0.98), (0.95, 0.98)])
def test_shares_near_0_and_1_are_covered_by_the_interval_over_seeds(first, second):
    rng, held, trials = np.random.default_rng(6), 0, 80
    for seed in range(trials):
        item = rng.standard_normal(45)
        base, after = hits(rng, item, first), [hits(rng, item, second) for _ in range(3)]
        found = seeds.difference([base] * 3, after, seed=seed)
        held += found.low <= second - first <= found.high
    assert held / trials > 0.9  # a bootstrap of the items holds it in .82 to .92


def test_the_interval_of_shares_ends_where_shares_end_and_agrees_with_that_of_one_training():
    before, after = means([0] * 45), means([1] * 44 + [0])
    one = METRICS["lexicon_rate"].difference(before, after)
    alike = seeds.difference([before] * 3, [after] * 3)
    assert (alike.low, alike.high) == pytest.approx((one.low, one.high))
    others = seeds.pool([before] * 3, [after, after, means([1] * 45)], seeds.ratio).estimate
    assert others.interval(0.01)[1] == 1.0 and others.p_below(0.5) > 0.99 and others.p_above(0.5) < 0.001


def test_a_share_after_guessing_has_an_interval_over_seeds():
    guess, after = means([0.5] * 45), [means([1] * 45), means([1] * 40 + [0] * 5), means([1] * 43 + [0] * 2)]
    found = seeds.difference([guess] * 3, after)
    assert found.change == pytest.approx(0.5 - 7 / 135) and 0.1 < found.low < 0.4 and found.high <= 0.5
    level = seeds.pool([guess] * 3, after, seeds.ratio, "level").estimate
    assert 0.7 < level.interval(0.025)[0] < level.value < level.interval(0.025)[1] <= 1
