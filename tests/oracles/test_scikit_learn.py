"""Scores of classifiers are scikit-learn's, where it has them."""

import random

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, confusion_matrix, precision_recall_fscore_support, roc_auc_score

from evals import metrics
from evals.calibration import measure
from evals.classification import OUTCOMES, Prediction, evaluate
from evals.paired_auc import delong


@pytest.mark.parametrize("seed", range(12))
def test_scores_are_scikit_learns_where_it_has_them(seed):
    draw = random.Random(seed)
    n = draw.randint(20, 120)
    truth = [draw.randint(0, 1) for _ in range(n)]
    outcomes = draw.choices(OUTCOMES, (4, 4, draw.randint(0, 3), draw.randint(0, 3)), k=n)
    p = [round(draw.random(), 1) for _ in truth]  # with ties
    report = evaluate(truth, [Prediction(o, q) for o, q in zip(outcomes, p, strict=True)])
    codes = [OUTCOMES.index(outcome) for outcome in outcomes]
    assert np.array_equal(report.confusion, confusion_matrix(truth, codes, labels=[0, 1, 2, 3])[:2])
    precision, recall, f1, _ = precision_recall_fscore_support(truth, codes, labels=[0, 1])
    for i, scores in enumerate(report.classes):
        assert (scores.precision, scores.recall, scores.f1) == pytest.approx((precision[i], recall[i], f1[i]))
    assert report.macro.f1 == pytest.approx(f1.mean())
    assert report.auc == pytest.approx(roc_auc_score(truth, p))
    assert report.accuracy == pytest.approx(np.mean(np.array(truth) == codes))


def test_what_changes_are_computed_from_gives_the_same_scores():
    draw = np.random.default_rng(3)
    truth, p = draw.integers(0, 2, (2, 90)), draw.random((2, 90)).round(1)
    reports = [
        evaluate(truth[0].tolist(), [Prediction(int(q > 0.5) if q != 0.3 else "invalid", q) for q in each])
        for each in p.tolist()
    ]
    found = metrics.changes(*(metrics.statistics("labels", report) for report in reports))
    for name, change in found.items():
        before, after = (report.record()[name] for report in reports)
        assert (change.before, change.after) == pytest.approx((before, after)), name
    assert {"precision_positive", "recall_macro", "f1_macro", "auc", "ece", "brier", "likelihood_accuracy"} <= set(
        found
    )


def test_delongs_aucs_are_scikit_learns_with_ties():
    draw = np.random.default_rng(4)
    truth, scores = draw.random(70) < 0.4, draw.random((2, 70)).round(1)
    assert delong(truth, scores)[0] == pytest.approx([roc_auc_score(truth, each) for each in scores])


@pytest.mark.parametrize("seed", range(5))
def test_brier_score_is_scikit_learns(seed):
    random = np.random.default_rng(seed)
    truth, p = random.integers(0, 2, 80), random.random(80)
    assert measure(truth, p, 0, 20).brier == pytest.approx(brier_score_loss(truth, p))
