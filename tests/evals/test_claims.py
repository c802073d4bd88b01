"""Claims are confirmed, refuted or undecided: test and interval agree, falsely so in at most alpha of cases."""

import json
import math

import numpy as np
import pytest
from scipy.stats import ttest_rel
from statsmodels.stats.weightstats import ttost_paired

from data.figures import blank_figure
from evals import claims, claims_file, claims_report
from evals.claims import Measured
from evals.metrics import METRICS

NAMES = ("lexicon_rate", "loop_rate", "stop_rate", "loss", "perplexity", "facts/accuracy", "auc", "ece")
RANGES = {name: METRICS[name].range for name in NAMES}


def means(values):
    values = np.asarray(values, dtype=float)
    return np.stack([values, np.ones_like(values)], axis=1)


def outcomes(text, before, after, seed=0):
    found = claims_file.parse(text, "claims.yaml", RANGES)
    measured = Measured(before, after, seed)
    return claims.decide(found, measured.estimate, measured.n)


def shares(rng, n, p, q, common=0.5):
    """Hits of two models on the same rows, with the probabilities ``p`` and ``q``, which share some of their noise."""
    same = rng.random(n) < common
    first, second = rng.random(n), rng.random(n)
    return means(first < p), means(np.where(same, first, second) < q)


def agrees(result):
    """Whether the interval lies as the outcome says."""
    inside = result.low >= result.line.low and result.high <= result.line.high
    outside = result.high <= result.line.low or result.low >= result.line.high
    return {"confirmed": inside, "refuted": outside, "undecided": not inside and not outside}[result.outcome]


def test_a_large_effect_is_confirmed_its_opposite_refuted_and_a_small_one_undecided():
    rng = np.random.default_rng(0)
    before, after = shares(rng, 45, 0.05, 0.9)
    text = "claims:\n" + "".join(
        f"  - lexicon_rate: {{{bound}}}\n" for bound in ("above: +0", "below: +0", "above: 0.9")
    )
    first, second, third = outcomes(text, {"lexicon_rate": before}, {"lexicon_rate": after})
    assert (first.outcome, second.outcome, third.outcome) == ("confirmed", "refuted", "undecided")
    assert first.reason == "confirmed" and third.n == 45
    assert claims.summary([first, second, third]) == "1 of 3 claims confirmed, 1 refuted, 1 undecided"


def test_an_interval_ends_where_the_metric_does():
    near_0 = np.stack([np.array([0.0] * 9 + [0.4]), np.full(10, 1.0)], axis=1)
    text = "claims:\n  - lexicon_rate: {above: 0.85}\n  - lexicon_rate: {above: +0.85}\n"
    level, change = outcomes(text, {"lexicon_rate": near_0}, {"lexicon_rate": near_0[::-1]})
    assert (level.low, level.outcome) == (0.0, "refuted") and change.low >= -1 and change.high <= 1


def test_verdict_and_adjusted_interval_never_disagree():
    rng, seen = np.random.default_rng(1), set()
    bounds = ["at_least: +0.1", "above: 0.6", "at_most: +0.3", "above: +10%", "at_least: +0.05, at_most: +0.5"]
    for trial in range(25):
        before, after = shares(rng, int(rng.integers(10, 120)), 0.4, 0.4 + 0.02 * trial)
        before, after = {"lexicon_rate": before}, {"lexicon_rate": after}
        loss = rng.gamma(4, 1, 40)
        before["loss"], after["loss"] = means(loss), means(loss * rng.normal(0.98, 0.1, 40))
        text = "claims:\n" + "".join(f"  - lexicon_rate: {{{bound}}}\n" for bound in bounds)
        text += "keeps:\n  - loss: {within: 5%}\n  - loss: {not_above: +0.2}\n  - loss: {not_above: 4}\n"
        for result in outcomes(text, before, after, trial):
            assert agrees(result), result
            seen.add(result.outcome)
    assert seen == {"confirmed", "refuted", "undecided"}


def test_more_claims_make_each_harder_by_holms_method():
    before, after = means([1] * 15 + [0] * 30), means([1] * 25 + [0] * 20)
    alone = outcomes("claims:\n  - stop_rate: {above: +0.08}\n", {"stop_rate": before}, {"stop_rate": after})
    assert alone[0].outcome == "confirmed" and alone[0].level == pytest.approx(0.95)
    many = "claims:\n" + "".join(f"  - stop_rate: {{above: +0.08{'0' * i}}}\n" for i in range(8))  # no two lines alike
    crowd = outcomes(many, {"stop_rate": before}, {"stop_rate": after})
    assert {each.outcome for each in crowd} == {"undecided"}
    assert crowd[0].p_value == pytest.approx(8 * alone[0].p_value, rel=1e-6)


def test_p_values_are_near_those_of_t_tests_for_means_of_many_rows():
    rng = np.random.default_rng(2)
    before = rng.normal(5, 1, 300)
    after = before + rng.normal(0.05, 0.5, 300)
    [result] = outcomes("keeps:\n  - loss: {within: 0.1}\n", {"loss": means(before)}, {"loss": means(after)})
    assert result.p_value == pytest.approx(ttost_paired(after, before, -0.1, 0.1)[0], abs=0.01)
    [result] = outcomes("claims:\n  - loss: {above: +0}\n", {"loss": means(before)}, {"loss": means(after)})
    assert result.p_value == pytest.approx(ttest_rel(after, before).pvalue, abs=0.02)


def test_what_undecided_lines_need_would_decide_them():
    before, after = means([1] * 25 + [0] * 35), means([1] * 20 + [0] * 5 + [1] * 10 + [0] * 25)
    text = "claims:\n  - lexicon_rate: {above: +0}\n"
    [result] = outcomes(text, {"lexicon_rate": before}, {"lexicon_rate": after})
    assert result.outcome == "undecided"
    times = math.ceil((result.n + result.more_rows) / result.n)
    [again] = outcomes(
        text, {"lexicon_rate": np.tile(before, (times, 1))}, {"lexicon_rate": np.tile(after, (times, 1))}
    )
    assert again.outcome == "confirmed"
    assert f"undecided ({result.more_rows} more test rows would decide)" == result.reason


def test_equal_answers_are_undecided_by_no_more_rows_than_they_need():
    text = "keeps:\n  - stop_rate: {not_below: -0.03}\n"
    [result] = outcomes(text, {"stop_rate": means([1] * 45)}, {"stop_rate": means([1] * 45)})
    assert result.outcome == "undecided" and 50 < result.more_rows < 100, "Tango's width falls with the rows themselves"
    for more, outcome in ((result.more_rows - 1, "undecided"), (result.more_rows, "confirmed")):
        rows = means([1] * (45 + more))
        [again] = outcomes(text, {"stop_rate": rows}, {"stop_rate": rows})
        assert again.outcome == outcome


def test_few_rows_and_metrics_that_were_not_measured_leave_a_claim_undecided():
    text = "claims:\n  - loss: {below: -0}\n  - stop_rate: {above: 0.5}\n"
    few, none = outcomes(text, {"loss": means([2, 3, 4])}, {"loss": means([1, 2, 3])})
    assert (few.reason, none.reason) == (
        "undecided (no interval from 3 test rows: it takes 8)",
        "undecided (not measured)",
    )
    json.dumps(claims_report.records([few, none]), allow_nan=False)


def test_a_line_on_a_suite_asks_for_more_items_of_the_suite_and_not_for_test_rows():
    flags, none = means([1] * 30 + [0] * 30), means([0] * 60)
    text = "keeps:\n  - facts/accuracy: {not_below: -0.01}\n  - facts/accuracy: {not_below: -1%}\n"
    [result, _] = outcomes(text, {"facts/accuracy": flags}, {"facts/accuracy": flags})
    assert result.reason == f"undecided ({result.more_rows:,} more suite items would decide)"
    [_, relative] = outcomes(text, {"facts/accuracy": none}, {"facts/accuracy": flags})
    assert relative.reason == "undecided (no interval: the base has 0 on 60 suite items)"


def test_equal_models_are_equivalent_but_for_shares_of_few_rows():
    rows = means(np.arange(1.0, 41.0))
    flags = means([1] * 40)
    text = "keeps:\n  - loss: {within: 1%}\n  - stop_rate: {within: 0.05}\n"
    same, share = outcomes(text, {"loss": rows, "stop_rate": flags}, {"loss": rows, "stop_rate": flags})
    assert (same.outcome, share.outcome) == ("confirmed", "undecided")


def rates(text, draw, trials=400):
    """How often each line is confirmed, and how often refuted."""
    rng = np.random.default_rng(11)
    found = [outcomes(text, *draw(rng), seed) for seed in range(trials)]
    return [[np.mean([each[i].outcome == word for each in found]) for word in ("confirmed", "refuted")]
            for i in range(len(found[0]))]  # fmt: skip


def within_chance(alpha, trials=400):
    """The most of ``trials`` that a test of size ``alpha`` exceeds with a probability of 1 %."""
    return alpha + 2.33 * math.sqrt(alpha * (1 - alpha) / trials)


@pytest.mark.parametrize("bound", ["above: +0.2", "below: +0.2"])
@pytest.mark.parametrize(("n", "p"), [(30, 0.1), (80, 0.4)])
def test_superiority_of_shares_has_its_size_where_the_truth_is_the_bound(bound, n, p):
    def draw(rng):
        before, after = shares(rng, n, p, p + 0.2)
        return {"lexicon_rate": before}, {"lexicon_rate": after}

    [(confirmed, refuted)] = rates(f"claims:\n  - lexicon_rate: {{{bound}}}\n", draw)
    assert max(confirmed, refuted) <= within_chance(0.025)


@pytest.mark.parametrize("margin", ["0.3", "10%"])
def test_equivalence_of_skewed_means_has_its_size_where_the_truth_is_the_margin(margin):
    def draw(rng):
        before = rng.gamma(3, 1, 45)
        after = before + 0.3 + 0.5 * (rng.gamma(3, 1, 45) - 3)
        return {"loss": means(before)}, {"loss": means(after)}

    [(confirmed, _)] = rates(f"keeps:\n  - loss: {{within: {margin}}}\n", draw, 120)
    assert confirmed <= within_chance(0.05, 120)


def test_a_true_equivalence_is_shown_with_enough_rows():
    def draw(rng):
        before, after = shares(rng, 400, 0.9, 0.9)
        return {"stop_rate": before}, {"stop_rate": after}

    [(confirmed, refuted)] = rates("keeps:\n  - stop_rate: {within: 0.08}\n", draw, 100)
    assert confirmed > 0.9 and refuted == 0


def test_any_false_confirmation_among_several_claims_stays_within_alpha():
    def draw(rng):
        pairs = {name: shares(rng, 60, 0.5, 0.5) for name in ("lexicon_rate", "loop_rate", "stop_rate")}
        return {k: before for k, (before, _) in pairs.items()}, {k: after for k, (_, after) in pairs.items()}

    text = "claims:\n" + "".join(f"  - {name}: {{above: +0}}\n" for name in ("lexicon_rate", "loop_rate", "stop_rate"))
    rng, wrong = np.random.default_rng(12), 0
    for seed in range(200):
        wrong += any(each.outcome == "confirmed" for each in outcomes(text, *draw(rng), seed))
    assert wrong / 200 <= within_chance(0.05, 200)


def classifiers(n, seed=0):
    """(true label, probability of label 1) of two models on the same rows, the first one calibrated and better."""
    rng = np.random.default_rng(seed)
    logit = 1.8 * rng.standard_normal(n)
    truth = rng.random(n) < 1 / (1 + np.exp(-logit))
    worse = 1 / (1 + np.exp(-2 * (logit + 2 * rng.standard_normal(n))))
    return np.stack([truth, 1 / (1 + np.exp(-logit))], axis=1), np.stack([truth, worse], axis=1)


def test_auc_and_ece_have_claims_on_their_value_and_on_their_relative_change():
    before, after = classifiers(400)
    auc, ece = (METRICS[name].difference(before, after) for name in ("auc", "ece"))
    text = "claims:\n  - auc: {above: 0.6}\n  - ece: {below: 0.1}\nkeeps:\n  - auc: {within: 30%}\n"
    level, error, relative = outcomes(text, {"auc": before, "ece": before}, {"auc": after, "ece": after})
    assert (level.outcome, error.outcome, relative.outcome) == ("confirmed", "refuted", "confirmed")
    assert level.value == pytest.approx(auc.after) and error.value == pytest.approx(ece.after)
    assert relative.value == pytest.approx(auc.change / auc.before)
    assert relative.low < relative.value < relative.high < 0


def test_a_relative_change_from_an_ece_that_may_be_0_is_undecided_and_says_why():
    [found] = outcomes("keeps:\n  - ece: {within: 50%}\n", *({"ece": each} for each in classifiers(400)))
    assert found.outcome == "undecided" and "can't be told from 0 on 400 test rows" in found.reason


def test_the_value_of_an_auc_is_covered():
    truth, held = METRICS["auc"].difference(*classifiers(200_000)).after, 0
    for seed in range(200):
        found = Measured({"auc": classifiers(45, seed)[0]}, {"auc": classifiers(45, seed)[1]})
        [line] = claims_file.parse("claims:\n  - auc: {above: 0.5}\n", "c", {"auc": (0.0, 1.0)}).lines
        low, high = found.estimate(line).interval(0.025)
        held += low <= truth <= high
    assert 0.92 < held / 200 < 0.99


def test_the_forest_plot_is_written_with_its_figures_and_its_words(tmp_path):
    rng = np.random.default_rng(4)
    before, after = shares(rng, 45, 0.05, 0.9)
    text = "claims:\n  - lexicon_rate: {above: +0.5}\n  - loss: {above: 1}\nkeeps:\n  - lexicon_rate: {within: 0.1}\n"
    found = outcomes(text, {"lexicon_rate": before}, {"lexicon_rate": after})
    claims_report.forest(found, "three lines at $5", tmp_path / "claims.png")
    assert (tmp_path / "claims.png").stat().st_size > 10_000
    assert len((tmp_path / "claims.csv").read_text().splitlines()) == 4
    words = (tmp_path / "claims.txt").read_text()
    assert (
        "claim lexicon_rate above +0.5: +0." in words and "keep lexicon_rate within 0.1" in words and "refuted" in words
    )
    assert claims_report.markdown(found)[2].startswith("| claim: lexicon_rate above +0.5 | +0.")


def test_the_bounds_of_a_narrow_range_do_not_stand_on_each_other():
    before, after = shares(np.random.default_rng(4), 45, 0.05, 0.9)
    text = "keeps:\n  - lexicon_rate: {within: 0.01}\n"
    [found] = outcomes(text, {"lexicon_rate": before}, {"lexicon_rate": after})
    _, axes = blank_figure(claims_report.WIDTH, 2, 1, 1)
    axes.set_xlim(-1.02, 1.98)
    claims_report._strip(axes, 0, found)
    low, high = (each.get_window_extent() for each in axes.texts if each.get_text() in ("-0.01", "+0.01"))
    assert not low.overlaps(high)
