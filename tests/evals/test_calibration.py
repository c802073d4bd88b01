"""ECE in bins of equally many rows: right by hand, whatever the order, with an interval that holds the truth."""

import numpy as np
import pytest

from evals.calibration import compare_ece, ece, ece_interval, equal_width, measure, reliability_bins


def drawn(n, shift, random):
    """(confidence, whether right) of ``n`` rows on which accuracy is ``shift`` below confidence."""
    confidence = 0.5 + 0.5 * random.beta(2, 2, n)
    return confidence, random.random(n) < np.clip(confidence - shift, 0, 1)


def by_sorting(confidence, right, bins):
    """The textbook way, which needs as many rows in each bin and no equal confidences."""
    order = np.argsort(confidence)
    parts = [order[i : i + len(order) // bins] for i in range(0, len(order), len(order) // bins)]
    return sum(len(part) * abs(confidence[part].mean() - right[part].mean()) for part in parts) / len(order)


@pytest.mark.parametrize(("n", "seed"), [(15, 1), (300, 2), (1500, 3)])
def test_ece_is_that_of_the_textbook_where_bins_divide_evenly(n, seed):
    confidence, right = drawn(n, 0.1, np.random.default_rng(seed))
    assert ece(confidence, right) == pytest.approx(by_sorting(confidence, right, 15))
    assert ece(confidence, right, 5) == pytest.approx(by_sorting(confidence, right, 5))


def test_ece_by_hand():
    confidence, right = np.array([0.6, 0.7, 0.8, 0.9]), np.array([0, 1, 1, 1])
    assert ece(confidence, right, 2) == pytest.approx((abs(0.65 - 0.5) + abs(0.85 - 1)) / 2)
    assert ece(confidence, right, 1) == pytest.approx(0)
    assert ece(np.array([0.9] * 10), np.array([1] * 5 + [0] * 5)) == pytest.approx(0.4)


def test_the_ece_of_equal_widths_by_hand_and_its_change_with_an_interval():
    confidence, right = np.array([0.61, 0.62, 0.81, 0.93, 1.0]), np.array([0, 1, 1, 1, 0])
    assert ece(confidence, right, binning=equal_width) == pytest.approx((abs(1.23 - 1) + 0.19 + 0.07 + 1.0) / 5)


def test_the_change_of_the_ece_of_equal_widths_has_an_interval():
    random = np.random.default_rng(7)
    p = 0.5 + 0.45 * random.random(200)
    calibrated = np.stack([random.random(200) < p, p], axis=-1).astype(float)
    too_sure = np.stack([calibrated[:, 0], np.full(200, 0.999)], axis=-1)
    first, second, found = compare_ece(calibrated, too_sure, binning=equal_width)
    low, high = found.interval(0.025)
    assert first < second and 0 < low < second - first < high


def test_a_sure_and_wrong_model_has_ece_one_and_a_sure_and_right_one_zero():
    truth = np.array([0, 1] * 20)
    assert measure(truth, truth.astype(float), 0).ece == 0 and measure(truth, truth.astype(float), 0).brier == 0
    assert measure(truth, 1.0 - truth, 0).ece == pytest.approx(1) and measure(truth, 1.0 - truth, 0).brier == 1


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_rows_does_not_matter_even_among_equal_confidences(seed):
    random = np.random.default_rng(seed)
    confidence = random.choice([0.55, 0.7, 0.7, 0.95], 101)
    right = random.random(101) < 0.6
    order = np.argsort(right)
    assert ece(confidence, right) == pytest.approx(ece(confidence[order], right[order]), abs=1e-12)


def test_without_rows_all_is_undefined_and_one_row_is_enough():
    nothing = measure(np.zeros(0), np.zeros(0), 0)
    assert nothing == type(nothing)() and nothing.ece is None
    assert measure(np.array([1]), np.array([0.8]), 0).ece == pytest.approx(0.2)
    assert reliability_bins([], []) == []


@pytest.mark.parametrize(("shift", "least"), [(0.0, 26), (0.05, 24), (0.2, 25)])
def test_the_interval_holds_the_true_ece_about_as_often_as_it_says(shift, least):
    random = np.random.default_rng(5)
    held = 0
    for seed in range(30):
        confidence, right = drawn(600, shift, random)
        true = np.mean(confidence - np.clip(confidence - shift, 0, 1))
        (low, high), _ = ece_interval(confidence, right, seed, 100)
        held += low <= true <= high
    assert held >= least


def test_the_estimate_is_in_its_interval_and_more_rows_narrow_it():
    widths = []
    for n in (100, 10_000):
        confidence, right = drawn(n, 0.1, np.random.default_rng(n))
        (low, high), calibrated = ece_interval(confidence, right, 0, 100)
        assert 0 <= low <= ece(confidence, right) <= high <= 1
        widths.append((high - low, calibrated))
    assert widths[1][0] < widths[0][0] / 3
    assert widths[1][1] < widths[0][1] / 3  # so is what chance alone shows


def test_the_interval_is_not_lifted_by_the_resampling_itself():
    confidence, right = drawn(600, 0, np.random.default_rng(3))
    (low, high), _ = ece_interval(confidence, right, 0, 200)
    assert low == 0 and high < 1.4 * ece(confidence, right)


def test_what_a_calibrated_model_would_show_is_what_calibrated_models_show():
    random = np.random.default_rng(1)
    shown = [ece(*drawn(400, 0, random)) for _ in range(60)]
    _, calibrated = ece_interval(*drawn(400, 0.3, random), seed=1, resamples=100)
    assert calibrated == pytest.approx(np.mean(shown), rel=0.1)


def test_the_bins_of_the_diagram_add_up_to_the_ece():
    random = np.random.default_rng(2)
    truth, p = random.integers(0, 2, 233), random.choice(np.linspace(0, 1, 41), 233)
    bins = reliability_bins(truth, p)
    assert len(bins) == 15 and sum(each.rows for each in bins) == pytest.approx(233)
    total = sum(each.rows * abs(each.confidence - each.accuracy) for each in bins) / 233
    assert total == pytest.approx(measure(truth, p, 0, 5).ece)
    for each, after in zip(bins, bins[1:], strict=False):
        assert each.low <= each.confidence <= each.high <= after.low + 1e-9 or each.high == after.low
        assert each.confidence <= after.confidence + 1e-9
    assert bins[0].low == pytest.approx(np.maximum(p, 1 - p).min()) and bins[-1].high == 1
