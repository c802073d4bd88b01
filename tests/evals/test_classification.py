"""Four outcomes a row; what is invalid or failed never counts as a class, and what can't be said is None."""

import numpy as np
import pytest

from evals.classification import Prediction, auc, evaluate, from_probabilities, keys, parse_answer
from evals.intervals import wilson

SIGNS = ("+1", "-1")


def said(*outcomes):
    return [Prediction(outcome) for outcome in outcomes]


@pytest.mark.parametrize(
    "text",
    ["positive", " Positive", "POSITIVE.", "**positive**", "\n positive\n\n", '"Positive!"', "\u201cpositive\u201d",
     "(positive)..."],
)  # fmt: skip
def test_a_label_in_any_case_and_with_signs_around_it_is_that_label(text):
    assert parse_answer(text) == 1


@pytest.mark.parametrize(
    "text",
    ["", "  ", "...", "positive or negative", "positive negative", "not positive", "It is positive", "positively",
     "positiv", "pos", "1", "positive positive", "Sentiment: positive", "neither", "po sitive",
     "positive\nReview: Bad"],
)  # fmt: skip
def test_anything_else_is_invalid_whatever_a_reader_would_guess(text):
    assert parse_answer(text) == "invalid"
    assert parse_answer(text.replace("posi", "nega")) == "invalid"


def test_labels_can_be_any_two_words_even_two_that_differ_in_signs_or_case():
    assert [parse_answer(text, ("ham", "spam")) for text in ("ham", " SPAM.", "hamspam")] == [0, 1, "invalid"]
    assert [parse_answer(text, SIGNS) for text in ("+1", " -1.", "1", "-1")] == [0, 1, "invalid", 1]
    assert [parse_answer(text, (":)", ":(")) for text in (":)", " :( ", ":")] == [0, 1, "invalid"]
    assert [parse_answer(text, ("a", "A")) for text in ("a", " A", "b")] == [0, 1, "invalid"]
    assert parse_answer("STRASSE", ("stra\u00dfe", "weg")) == 0
    with pytest.raises(ValueError, match="not distinct"):
        parse_answer("x", ("same", "same"))


def test_a_report_holds_what_can_be_counted_by_hand():
    truth = [1, 1, 1, 1, 0, 0, 0, 0]
    report = evaluate(truth, said(1, 1, 0, "invalid", 0, 1, "error", "invalid"))
    assert report.confusion == ((1, 1, 1, 1), (1, 2, 1, 0))
    assert (report.accuracy, report.answered_accuracy) == (3 / 8, 3 / 5)
    assert (report.accuracy_interval, report.answered_interval) == (wilson(3, 8), wilson(3, 5))
    negative, positive = report.classes
    assert (positive.precision, positive.recall, positive.f1) == (2 / 3, 2 / 4, pytest.approx(4 / 7))
    assert (negative.precision, negative.recall, negative.f1) == (1 / 2, 1 / 4, pytest.approx(1 / 3))
    assert report.macro.recall == 3 / 8
    assert report.rates == {"negative": 2 / 8, "positive": 3 / 8, "invalid": 2 / 8, "error": 1 / 8}


@pytest.mark.parametrize("silent", ["invalid", "error"])
@pytest.mark.parametrize("label", [0, 1])
def test_silence_is_never_right_whatever_the_class(silent, label):
    report = evaluate([label] * 9, said(*[silent] * 9))
    assert report.accuracy == 0.0 and report.rates[silent] == 1.0
    assert report.answered_accuracy is None and report.classes[label].precision is None
    assert report.classes[label].recall == 0.0 and report.classes[1 - label].recall is None
    assert report.macro.precision is None and report.macro.recall is None


def test_what_is_undefined_is_none_and_no_metric():
    empty = evaluate([], [])
    assert {key for key, value in empty.record().items() if value is not None} == {"n", "n_probabilities"}
    one_class = evaluate([0] * 5, from_probabilities([0.1, 0.2, 0.3, 0.4, 0.9]))
    assert one_class.auc is None and one_class.accuracy == 0.8 and one_class.classes[1].recall is None
    words_only = evaluate([0, 1], said(0, 1))
    assert (words_only.auc, words_only.brier, words_only.ece, words_only.mean_confidence) == (None,) * 4
    assert "auc" not in words_only.metrics() and words_only.metrics()["accuracy"] == 1.0
    assert all(isinstance(value, float) for value in one_class.metrics().values())


def test_probabilities_count_for_invalid_answers_too_and_rows_without_are_left_out():
    predictions = [Prediction("invalid", 0.9), Prediction(0, 0.2), Prediction("error"), Prediction(1)]
    report = evaluate([1, 0, 0, 1], predictions)
    assert (report.n, report.n_probabilities, report.auc) == (4, 2, 1.0)
    assert report.brier == pytest.approx((0.01 + 0.04) / 2)
    assert report.mean_confidence == pytest.approx(0.85)


def test_a_model_that_is_exactly_undecided_answers_the_first_label():
    assert [each.outcome for each in from_probabilities([0.5, 0.500001])] == [0, 1]


def test_the_names_of_metrics_are_the_labels_unless_they_would_clash():
    assert keys(("ham", "Spam mail")) == ("ham", "spam_mail")
    assert keys(SIGNS) == keys(("invalid", "ok")) == keys(("macro", "x")) == ("label_0", "label_1")
    record = evaluate([0, 1], said(0, 1), ("error", "fine")).record()
    assert record["error_rate"] == 0.0 and record["label_0_rate"] == 0.5 and record["recall_label_0"] == 1.0


def test_the_same_seed_gives_the_same_report():
    draw = np.random.default_rng(0)
    truth, predictions = draw.integers(0, 2, 60).tolist(), from_probabilities(draw.random(60))
    assert evaluate(truth, predictions, seed=3) == evaluate(truth, predictions, seed=3)
    assert evaluate(truth, predictions, seed=3).ece_interval != evaluate(truth, predictions, seed=4).ece_interval


def test_rows_without_predictions_and_strange_labels_are_refused():
    with pytest.raises(ValueError, match="2 rows but 1 predictions"):
        evaluate([0, 1], said(0))
    with pytest.raises(ValueError, match="0 or 1, not 2"):
        evaluate([0, 2], said(0, 1))
    for p in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="probability"):
            Prediction(1, p)


def test_auc_is_none_without_two_classes():
    assert auc([1, 1], [0.2, 0.3]) is None and auc([], []) is None
    assert auc([0, 1, 1], [0.5, 0.5, 0.6]) == 0.75
