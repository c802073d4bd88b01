"""The three mistakes that once scored 1.000 are called out, and a sound evaluation is left in peace."""

import pytest

from data.labelled import LabelledRow, QuestionRow
from evals.classification import Prediction, evaluate
from evals.sanity_checks import naive_score, warnings

MIXED = [0, 1, 1, 0] * 25


def rows(truth, first=7):
    return [LabelledRow(f"text {i}", label, f"t-{i}", 3 * i + first) for i, label in enumerate(truth)]


def answers(outcomes, **more):
    return [Prediction(outcome, **more) for outcome in outcomes]


def found(truth, outcomes, **more):
    return " | ".join(warnings(truth, answers(outcomes, **more), rows(truth)))


def test_a_sound_evaluation_raises_no_alarm():
    right = [label if i % 7 else 1 - label for i, label in enumerate(MIXED)]
    assert found(MIXED, right) == ""
    assert found(MIXED, ["invalid", "error", *right[2:]]) == ""


@pytest.mark.parametrize(("label", "name"), [(0, "negative"), (1, "positive")])
def test_a_constant_answer_is_called_out(label, name):
    said = found(MIXED, [label] * 100)
    assert f"predicts {name} for 100 % of rows: accuracy is the share of that class (0.500" in said
    assert f"predicts {name} for 99.0 % of rows" in found(MIXED, [*[label] * 99, 1 - label])
    assert found(MIXED, [*[label] * 90, *[1 - label] * 10]) == ""


def test_a_constant_answer_among_those_that_came_is_called_out():
    said = found(MIXED, [*[1] * 60, *["invalid"] * 40])
    assert "predicts positive for 100 % of answered rows" in said and "40 of 100 are neither label" in said


def test_one_answer_for_nearly_all_rows_is_right_where_nearly_all_are_of_that_class():
    truth = [1] * 49 + [0] + [1] * 49 + [0]
    assert found(truth, truth) == ""
    assert "100 %" in found(truth, [1] * 100)


def test_an_interface_that_always_fails_is_called_out_with_its_first_error():
    said = found(MIXED, ["error"] * 100, error="timed out\nafter 30 s")
    assert (
        said
        == "all 100 requests failed (the first: timed out after 30 s): there are no answers, so nothing was measured"
    )
    assert "12 of 100 requests failed" in found(MIXED, ["error"] * 12 + MIXED[12:])


def test_mostly_invalid_answers_are_called_out_with_the_commonest():
    said = found(MIXED, ["invalid"] * 80 + MIXED[80:], raw="positive or negative")
    assert "most answers are invalid: 80 of 100 are neither label (most often 'positive or negative')" in said
    assert "an empty answer" in found(MIXED, ["invalid"] * 80 + MIXED[80:])


def test_a_slice_of_one_class_is_called_out_even_where_every_answer_is_right():
    said = found([0] * 50, [0] * 50)
    assert "all 50 test rows are negative; a model that always says so scores 1.000, and AUC is undefined" in said


def test_a_sorted_slice_and_the_top_of_a_file_are_called_out():
    truth = [0] * 30 + [1] * 30
    assert "the test rows are sorted by label, negative first" in found(truth, truth)
    top = [LabelledRow(f"text {i}", 0, f"t-{i}", i) for i in range(50)]
    said = " | ".join(warnings([0] * 50, answers([0] * 50), top))
    assert "they are the first 50 of their file, as it lies there" in said


def test_questions_have_one_true_answer_each_so_only_silence_is_an_alarm():
    questions = [QuestionRow("?", "a", ("a",), ("b",), f"q-{i}", i) for i in range(20)]
    names = ("incorrect", "best")
    assert warnings([1] * 20, answers([1] * 20), questions, names) == []
    assert "all 20 requests failed" in warnings([1] * 20, answers(["error"] * 20), questions, names)[0]


def test_no_rows_are_called_out():
    assert warnings([], [], []) == ["there are no test rows: nothing was measured"]


@pytest.mark.parametrize("outcome", ["error", "invalid", 0])
def test_each_old_mistake_scores_one_the_old_way_and_is_caught(outcome):
    truth, predictions = [0] * 200, answers([outcome] * 200)
    assert naive_score(truth, predictions) == 1.0
    assert warnings(truth, predictions, rows(truth))
    assert evaluate(truth, predictions).accuracy == (1.0 if outcome == 0 else 0.0)
    assert evaluate(truth, predictions).auc is None


def test_the_old_way_gives_silence_half_of_a_balanced_sample():
    assert naive_score(MIXED, answers(["error"] * 100)) == 0.5
    assert evaluate(MIXED, answers(["error"] * 100)).accuracy == 0.0
