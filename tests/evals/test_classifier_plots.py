"""Reliability and confusion are pictures that show their figures, with the same figures beside them."""

import csv

import numpy as np
import pytest

from evals.classification import Prediction, evaluate, from_probabilities
from evals.classifier_plots import confusion, reliability

TEAL, WARM, PALE = "#0b7285", "#e8590c", "#b9c7d3"


def near(path, colour, within=12):
    """How many pixels of the picture have the colour."""
    from matplotlib.image import imread

    picture = (imread(path)[:, :, :3] * 255).round().astype(int)
    rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return int((np.abs(picture - rgb).max(axis=2) <= within).sum())


def table(path):
    with path.with_suffix(".csv").open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


@pytest.fixture
def judged():
    """Makes (truth, predictions, report) of a model that is right with chance ``accuracy`` and ``confidence`` sure."""

    def make(accuracy, confidence, n=300):
        draw = np.random.default_rng(0)
        truth = draw.integers(0, 2, n)
        answers = np.where(draw.random(n) < accuracy, truth, 1 - truth)
        sure = confidence + draw.uniform(-0.05, 0.05, n)
        predictions = from_probabilities(np.where(answers == 1, sure, 1 - sure))
        return truth.tolist(), predictions, evaluate(truth.tolist(), predictions)

    return make


def test_the_gaps_of_a_model_that_is_too_sure_are_drawn_and_those_of_a_calibrated_one_are_not(judged, tmp_path):
    gaps = []
    for name, accuracy in (("sure", 0.55), ("calibrated", 0.9)):
        assert reliability(*judged(accuracy, 0.9), name, tmp_path / f"{name}.png")
        gaps.append(near(tmp_path / f"{name}.png", WARM, 60))
        assert near(tmp_path / f"{name}.png", TEAL) > 300 and near(tmp_path / f"{name}.png", PALE) > 1000
    assert gaps[0] > 3 * gaps[1]


def test_the_bins_and_the_words_beside_the_picture_are_its_figures(judged, tmp_path):
    truth, predictions, report = judged(0.7, 0.9)
    path = tmp_path / "reliability.png"
    reliability(truth, predictions, report, "costs $5 {and} \\more", path)
    bins = table(path)
    assert len(bins) == 15 and sum(float(b["rows"]) for b in bins) == pytest.approx(300)
    total = sum(float(b["rows"]) * abs(float(b["confidence"]) - float(b["accuracy"])) for b in bins) / 300
    assert total == pytest.approx(report.ece)
    assert all(float(b["low"]) <= float(b["high"]) for b in bins)
    text = path.with_suffix(".txt").read_text(encoding="utf-8")
    assert (
        text.startswith("costs $5 {and} \\more. Reliability diagram of 300 rows: ECE ") and f"{report.ece:.3f}" in text
    )


def test_without_probabilities_there_is_no_diagram_and_no_file(tmp_path):
    predictions = [Prediction(1), Prediction("error")]
    assert not reliability([1, 0], predictions, evaluate([1, 0], predictions), "none", tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_one_row_is_drawn(tmp_path):
    predictions = [Prediction(1, 1.0)]
    assert reliability([0], predictions, evaluate([0], predictions), "one", tmp_path / "a.png")


def test_the_confusion_of_two_models_stands_in_picture_table_and_words(tmp_path):
    truth = [0, 0, 1, 1]
    base = evaluate(truth, [Prediction(o) for o in (1, "invalid", 1, "error")])
    tuned = evaluate(truth, [Prediction(o) for o in (0, 0, 1, 0)])
    path = tmp_path / "confusion.png"
    confusion([("base", base), ("tuned", tuned)], "four rows", path)
    assert [[record[name] for name in ("negative", "positive", "invalid", "error")] for record in table(path)] == [
        ["0", "1", "1", "0"], ["0", "1", "0", "1"], ["2", "0", "0", "0"], ["1", "1", "0", "0"],
    ]  # fmt: skip
    text = path.with_suffix(".txt").read_text(encoding="utf-8")
    assert "base, true negative: 0 negative, 1 positive, 1 invalid, 0 error" in text
    assert near(path, TEAL, 20) > 10_000


def test_right_answers_are_cool_and_wrong_ones_warm(tmp_path):
    for name, outcome in (("right", 1), ("wrong", 0)):
        confusion([("m", evaluate([1] * 5, [Prediction(outcome)] * 5))], name, tmp_path / f"{name}.png")
    assert near(tmp_path / "right.png", TEAL, 20) > 10_000 and near(tmp_path / "right.png", WARM, 20) == 0
    assert near(tmp_path / "wrong.png", WARM, 20) > 10_000 and near(tmp_path / "wrong.png", TEAL, 20) == 0


def test_no_rows_at_all_are_drawn_as_empty_tables(tmp_path):
    confusion([("m", evaluate([], []))], "nothing", tmp_path / "a.png")
    assert [record["error"] for record in table(tmp_path / "a.png")] == ["0", "0"]
