"""Verdicts on classifiers begin at their documented thresholds, the worst one is named, reasons hold the figures."""

import pytest

from evals.classification import Prediction, evaluate
from evals.label_errors import Memorization
from evals.label_verdict import LABEL_VERDICTS, decide_questions
from evals.label_verdict import decide_labels as decide
from evals.metrics import changes, statistics
from evals.paired import Difference
from evals.significance import ClassifierComparison, Comparison, compare_classifiers

TRUTH = [0, 1] * 50
NONE = Comparison(0, 0, 0, None, None)
GAIN = Comparison(100, 5, 40, 0.35, 0.0001)
NOTHING = Memorization(None, 0.9, 0.9)


def answered(right, other="wrong"):
    """A report of 100 balanced rows, so many right, the others wrong or invalid."""
    miss = (lambda label: 1 - label) if other == "wrong" else (lambda label: "invalid")
    return evaluate(TRUTH, [Prediction(t if i < right else miss(t)) for i, t in enumerate(TRUTH)])


def decide_labels(tuned, comparison, memory, flipped):
    """The verdict against a base that answered half of the rows right, by a given test of the answers."""
    return decide(answered(50), tuned, ClassifierComparison(comparison, NONE, NONE), memory, flipped)


def decide_on(before, after, truth=TRUTH):
    """The verdict on two models' predictions, as a run reaches it."""
    base, tuned = evaluate(truth, before), evaluate(truth, after)
    found = changes(statistics("labels", base), statistics("labels", tuned))
    return decide(base, tuned, compare_classifiers(truth, before, after, found), NOTHING, (0, 0))


def test_a_good_classifier_is_healthy_and_says_why():
    found = decide_labels(answered(85), GAIN, NOTHING, (0, 0))
    assert found.name == "healthy"
    assert "0.850" in found.reasons[0] and "+0.350" in found.reasons[0] and "p < .001" in found.reasons[0]


def test_more_than_half_without_an_answer_is_silent():
    assert decide_labels(answered(49, "invalid"), GAIN, NOTHING, (0, 0)).name == "silent"
    compared = ClassifierComparison(GAIN, GAIN, NONE)
    assert decide(answered(50), answered(62, "invalid"), compared, NOTHING, (0, 0)).name == "healthy"


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
    found = decide_on(silent, guesses)
    assert found.name == "not_better" and "0.500 of always saying one label" in found.reasons[1]
    assert "nothing to compare on the 0 rows that both answered" in found.reasons[0]


def likelier(right, spread=0.3):
    """Probabilities of label 1 of 100 rows, by which so many true labels are the likelier one."""
    sure = [0.5 + spread * (1 + i * 7 % 10) / 10 for i in range(100)]
    return [p if (t == 1) == (i < right) else 1 - p for i, (t, p) in enumerate(zip(TRUTH, sure, strict=True))]


def invalid(p_positive):
    return [Prediction("invalid", p) for p in p_positive]


def labelled(p_positive):
    return [Prediction(int(p > 0.5), p) for p in p_positive]


def test_a_format_that_was_learned_is_no_gain_where_the_knowledge_fell():
    found = decide_on(invalid(likelier(78)), labelled(likelier(57)))
    assert found.name == "worse"
    reasons = "; ".join(found.reasons)
    assert "likelihood accuracy fell: 0.780 -> 0.570" in reasons and "AUC fell" in reasons
    assert "accuracy 0.000 -> 0.570 compares formats, for 100% of the rows got no valid answer of the base" in reasons


def test_a_format_that_was_learned_is_no_gain_where_the_knowledge_stayed():
    found = decide_on(invalid(likelier(78)), labelled(likelier(79)))
    assert found.name == "not_better" and "likelihood accuracy 0.780 -> 0.790" in found.reasons[0]


def test_knowledge_that_was_gained_beside_the_format_is_healthy_and_both_are_named():
    found = decide_on(invalid(likelier(60)), labelled(likelier(90)))
    assert found.name == "healthy"
    assert found.reasons[0].startswith("accuracy 0.900, likelihood accuracy 0.600 -> 0.900, +0.300 against its base")


def test_what_answers_better_and_ranks_the_rows_worse_is_worse():
    ranked = [0.9 if t else 0.6 for t in TRUTH]  # all above a half: right on half of the rows, in the right order
    found = decide_on(labelled(ranked), labelled(likelier(80)))
    assert found.name == "worse" and found.reasons[0].startswith("AUC fell")


def test_without_probabilities_rows_that_both_answered_are_compared():
    before = [Prediction("invalid") if i < 40 else Prediction(t if i < 80 else 1 - t) for i, t in enumerate(TRUTH)]
    after = [Prediction(t if i < 80 else 1 - t) for i, t in enumerate(TRUTH)]
    found = decide_on(before, after)
    assert found.name == "not_better" and "on the 60 rows that both answered" in found.reasons[0]


def test_a_p_value_of_zero_is_a_p_value():
    assert decide_labels(answered(85), Comparison(1200, 0, 1200, 1.0, 0.0), NOTHING, (0, 0)).name == "healthy"


def test_the_worst_verdict_is_named_and_all_reasons_are_given():
    report = evaluate(TRUTH, [Prediction("invalid")] * 60 + [Prediction(0)] * 40)
    found = decide_labels(report, Comparison(100, 10, 10, 0.0, 1.0), Memorization(1.0, 0.5, 1.0), (0, 20))
    assert found.name == "silent" and len(found.reasons) >= 3


def test_questions_are_better_only_where_mc1_rose_by_more_than_chance():
    def compared(test, **found):
        return ClassifierComparison(test, NONE, NONE, found)

    assert decide_questions(0.2, 0.5, compared(GAIN)).name == "healthy"
    assert decide_questions(0.2, 0.25, compared(Comparison(100, 5, 10, 0.05, 0.3))).name == "not_better"
    fell = Difference(100, 0.6, 0.4, -0.2, -0.3, -0.1, "by hand")
    found = decide_questions(0.2, 0.5, compared(GAIN, mc2=fell))
    assert found.name == "worse" and found.reasons[0] == "MC2 fell: 0.600 -> 0.400, -0.200 (-0.300 to -0.100)"
    assert "undefined" in decide_questions(None, None, compared(NONE)).reasons[0]
    names = {"healthy", "silent", "constant", "memorising_noise", "worse", "not_better"}
    assert names == set(LABEL_VERDICTS)
