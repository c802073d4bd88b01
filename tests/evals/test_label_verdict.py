"""Verdicts on classifiers begin at their documented thresholds, the worst one is named, reasons hold the figures."""

import pytest

from evals.classification import Prediction, evaluate
from evals.label_errors import Memorization
from evals.label_verdict import LABEL_VERDICTS, decide_labels, decide_questions
from evals.significance import Comparison, compare

TRUTH = [0, 1] * 50
GAIN = Comparison(100, 5, 40, 0.35, 0.0001)
NOTHING = Memorization(None, 0.9, 0.9)


def answered(right, other="wrong"):
    """A report of 100 balanced rows, so many right, the others wrong or invalid."""
    miss = (lambda label: 1 - label) if other == "wrong" else (lambda label: "invalid")
    return evaluate(TRUTH, [Prediction(t if i < right else miss(t)) for i, t in enumerate(TRUTH)])


def test_a_good_classifier_is_healthy_and_says_why():
    found = decide_labels(answered(85), GAIN, NOTHING, (0, 0))
    assert found.name == "healthy"
    assert "0.850" in found.reasons[0] and "+0.350" in found.reasons[0] and "p < .001" in found.reasons[0]


def test_more_than_half_without_an_answer_is_silent():
    assert decide_labels(answered(49, "invalid"), GAIN, NOTHING, (0, 0)).name == "silent"
    assert decide_labels(answered(62, "invalid"), GAIN, NOTHING, (0, 0)).name == "healthy"


def test_one_answer_to_nearly_all_is_constant():
    report = evaluate(TRUTH, [Prediction(0)] * 98 + [Prediction(1)] * 2)
    found = decide_labels(report, GAIN, NOTHING, (0, 0))
    assert found.name == "constant" and "98%" in found.reasons[0]
    fewer = evaluate(TRUTH, [Prediction(0)] * 97 + [Prediction(1)] * 3)
    assert decide_labels(fewer, GAIN, NOTHING, (0, 0)).name != "constant"


@pytest.mark.parametrize(("share", "name"), [(0.44, "healthy"), (0.46, "memorising_noise")])
def test_memorising_is_measured_against_mistakes_on_test_rows(share, name):
    # A fifth of the test rows of either label is answered wrongly: as much is expected of flipped rows.
    assert decide_labels(answered(80), GAIN, Memorization(share, 0.8, 0.8), (20, 20)).name == name


def test_a_class_that_is_always_missed_is_no_memory_of_its_flipped_rows():
    predictions = [Prediction(0) if t == 0 or i % 4 else Prediction(1) for i, t in enumerate(TRUTH)]
    report = evaluate(TRUTH, predictions)
    assert report.classes[1].recall is not None and report.classes[1].recall < 0.6
    assert decide_labels(report, GAIN, Memorization(0.7, 0.7, 0.9), (0, 40)).name != "memorising_noise"


def test_few_flipped_rows_prove_no_memory():
    assert decide_labels(answered(80), GAIN, Memorization(1.0, 0.8, 0.8), (5, 4)).name == "healthy"


@pytest.mark.parametrize(
    "compared",
    [Comparison(100, 10, 10, 0.0, 1.0), Comparison(100, 20, 30, 0.1, 0.06), Comparison(100, 40, 5, -0.35, 0.001)],
)
def test_what_mcnemar_does_not_find_better_is_not_better(compared):
    assert decide_labels(answered(85), compared, NOTHING, (0, 0)).name == "not_better"


def test_better_than_a_silent_base_but_no_better_than_chance_is_not_better():
    silent = [Prediction("invalid")] * 100
    guesses = [Prediction(t if i < 52 else 1 - t) for i, t in enumerate(TRUTH)]
    compared = compare(TRUTH, silent, guesses)
    assert compared.p_value is not None and compared.p_value < 0.001
    found = decide_labels(evaluate(TRUTH, guesses), compared, NOTHING, (0, 0))
    assert found.name == "not_better" and "0.500 of always saying one label" in found.reasons[0]


def test_the_worst_verdict_is_named_and_all_reasons_are_given():
    report = evaluate(TRUTH, [Prediction("invalid")] * 60 + [Prediction(0)] * 40)
    found = decide_labels(report, Comparison(100, 10, 10, 0.0, 1.0), Memorization(1.0, 0.5, 1.0), (0, 20))
    assert found.name == "silent" and len(found.reasons) >= 3


def test_questions_are_better_only_where_mc1_rose_by_more_than_chance():
    assert decide_questions(0.2, 0.5, GAIN).name == "healthy"
    assert decide_questions(0.2, 0.25, Comparison(100, 5, 10, 0.05, 0.3)).name == "not_better"
    assert {"healthy", "silent", "constant", "memorising_noise", "not_better"} == set(LABEL_VERDICTS)
