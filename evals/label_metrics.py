"""The metrics of predicted labels, of answers chosen by likelihood, and of training rows: part of ``evals.metrics``.

Statistics of rows are those of ``evals.metric.Metric``; a row without a known probability has NaN in those of AUC,
Brier score, ECE, confidence and likelihood accuracy.
"""

from functools import partial
from typing import Any

import numpy as np

from evals.calibration import compare_ece, ece_of_rows, equal_width
from evals.metric import NOT_NEGATIVE, Metric, flags
from evals.paired import ratio
from evals.paired_auc import compare_auc, estimate_auc
from evals.paired_bounded import CompareBounded


def _hits(report: Any) -> np.ndarray:
    return flags(each.outcome == label for label, each in zip(report.truth, report.predictions, strict=True))


def _answered_hits(report: Any) -> np.ndarray:
    answered = [not isinstance(each.outcome, str) for each in report.predictions]
    return np.stack([_hits(report)[:, 0], answered], axis=-1).astype(float)


def _probabilities(report: Any) -> np.ndarray | None:
    """(true label, probability of label 1) of each row; None where no probability is known."""
    known = [np.nan if each.p_positive is None else each.p_positive for each in report.predictions]
    return None if np.isnan(known).all() else np.stack([np.array(report.truth, dtype=float), known], axis=-1)


def _means(report: Any, of_row: Any) -> np.ndarray | None:
    """The statistics of a mean over rows of ``of_row(true label, probability of label 1)``."""
    rows = _probabilities(report)
    return None if rows is None else np.stack([of_row(*rows.T), np.ones(len(rows))], axis=-1)


def _likelihood_hit(truth: np.ndarray, p_positive: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(p_positive), np.nan, (p_positive > 0.5) == (truth == 1))


def rate_names(labels: tuple[str, str]) -> tuple[str, ...]:
    """The names of the shares of rows that were answered with each label, from the labels' names in metrics."""
    return tuple(f"{label}_rate" for label in labels)


def score_names(labels: tuple[str, str]) -> tuple[str, ...]:
    """The names of precision, recall and F1 of each label, from the labels' names in metrics."""
    return tuple(f"{kind}_{label}" for label in labels for kind in ("precision", "recall", "f1"))


def _rates(report: Any) -> dict[str, np.ndarray]:
    return {
        name: flags(each.outcome == label for each in report.predictions)
        for label, name in enumerate(report.label_rates)
    }


def _class_scores(report: Any) -> dict[str, np.ndarray]:
    """Precision, recall and F1 of each label as ratios, by the names of ``label_scores``: precision_LABEL and so on."""
    truth, answers = np.array(report.truth), [each.outcome for each in report.predictions]
    found = {}
    for label, (precision, recall, f1) in enumerate(_triples(list(report.label_scores))):
        answered, true = np.array([each == label for each in answers], dtype=float), (truth == label).astype(float)
        hits = answered * true
        found |= {
            precision: np.stack([hits, answered], axis=-1),
            recall: np.stack([hits, true], axis=-1),
            f1: np.stack([2 * hits, answered + true], axis=-1),
        }
    return found


def _triples(names: list[str]) -> list[list[str]]:
    return [names[:3], names[3:]]


def _macro(kind: str) -> Any:
    """Statistics of the mean over both labels of ``kind``: those of the first label beside those of the second."""

    def of(report: Any) -> np.ndarray:
        scores = _class_scores(report)
        return np.concatenate([scores[name] for name in report.label_scores if name.startswith(kind)], axis=1)

    return of


def _mean_ratio(sums: np.ndarray) -> np.ndarray:
    return (ratio(sums[..., :2]) + ratio(sums[..., 2:])) / 2


def _not_of_sums(sums: np.ndarray) -> np.ndarray:
    """Undefined: such a metric is no function of sums over rows."""
    return np.full(sums.shape[:-1], np.nan)


LABEL_METRICS = (
    # Labels predicted for held-out rows
    Metric("n", ("labels", "choices"), lambda report: report.n, "Number of held-out rows.", None, NOT_NEGATIVE,
           format=".0f", tag=False),
    Metric(
        "accuracy", ("labels",), lambda report: report.accuracy,
        "Share of rows that got their true label; an answer that is no label, or none, is wrong.",
        True, rank=4, headline=True, interval=lambda report: report.accuracy_interval, study="plot",
        axis=(0.4, 1.0), chance=0.5, statistics=_hits,
    ),
    Metric(
        "auc", ("labels",), lambda report: report.auc,
        "Area under the ROC curve of the probability of label 1.",
        True, label="AUC", rank=5, headline=True, study="plot", axis=(0.4, 1.0), chance=0.5,
        statistics=_probabilities, compare=compare_auc, level=estimate_auc, of_sums=_not_of_sums,
    ),
    Metric(
        "answered_accuracy", ("labels",), lambda report: report.answered_accuracy,
        "The same share among the rows that were answered with a label.",
        True, label="answered accuracy", rank=5, headline=True, interval=lambda report: report.answered_interval,
        study="record", chance=0.5, statistics=_answered_hits,
    ),
    Metric(
        "likelihood_accuracy", ("labels",), lambda report: report.likelihood_accuracy,
        "Share of rows whose true label is the likelier one by the probabilities of the labels, whatever was answered.",
        True, label="likelihood accuracy", rank=5, headline=True, study="table",
        interval=lambda report: report.likelihood_interval, axis=(0.4, 1.0), chance=0.5,
        statistics=lambda report: _means(report, _likelihood_hit),
    ),
    Metric(
        "label_rates", ("labels",), lambda report: report.label_rates,
        "LABEL_rate: share of rows that were answered with the label.",
        tag=False, statistics=_rates, names=rate_names,
    ),
    Metric(
        "invalid_rate", ("labels",), lambda report: report.rates["invalid"],
        "Share of rows with an answer that is neither label.",
        False, label="invalid", rank=9, headline=True,
        statistics=lambda report: flags(each.outcome == "invalid" for each in report.predictions),
    ),
    Metric(
        "error_rate", ("labels",), lambda report: report.rates["error"],
        "Share of rows without an answer because the request failed.",
        False, label="errors", rank=10, headline=True,
        statistics=lambda report: flags(each.outcome == "error" for each in report.predictions),
    ),
    Metric(
        "label_scores", ("labels",), lambda report: report.label_scores,
        "precision_LABEL, recall_LABEL and f1_LABEL of each label.",
        True, tag=False, statistics=_class_scores, names=score_names,
    ),
    Metric("precision_macro", ("labels",), lambda report: report.macro.precision,
           "Mean of both labels' precision.", True, tag=False,
           statistics=_macro("precision"), of_sums=_mean_ratio, compare=CompareBounded(_mean_ratio)),
    Metric("recall_macro", ("labels",), lambda report: report.macro.recall,
           "Mean of both labels' recall.", True, tag=False,
           statistics=_macro("recall"), of_sums=_mean_ratio, compare=CompareBounded(_mean_ratio)),
    Metric("f1_macro", ("labels",), lambda report: report.macro.f1,
           "Mean of both labels' F1.", True, label="macro F1", rank=6, headline=True,
           statistics=_macro("f1"), of_sums=_mean_ratio, compare=CompareBounded(_mean_ratio)),
    Metric("n_probabilities", ("labels",), lambda report: report.n_probabilities,
           "Number of rows whose probability of a label is known.", None, NOT_NEGATIVE, format=".0f", tag=False),
    Metric(
        "brier", ("labels",), lambda report: report.brier,
        "Brier score: mean squared error of the probability of label 1.",
        False, label="Brier", rank=8, headline=True,
        statistics=lambda report: _means(report, lambda truth, p: (p - truth) ** 2),
        compare=CompareBounded(ratio, is_continuous=True),
    ),
    Metric(
        "ece", ("labels",), lambda report: report.ece,
        "Expected calibration error: mean gap between confidence and accuracy in 15 bins of equal mass, that is, of "
        "equally many rows.",
        False, label="ECE", rank=7, headline=True, interval=lambda report: report.ece_interval, study="plot",
        axis=(0.0, 0.6), statistics=_probabilities, compare=compare_ece, level=ece_of_rows, of_sums=_not_of_sums,
    ),
    Metric(
        "ece_equal_width", ("labels",), lambda report: report.ece_equal_width,
        "The same in 15 bins of equal width between confidences of 0 and 1, as Guo et al. 2017 have it.",
        False, label="ECE, equal width", rank=7, headline=True, study="record", statistics=_probabilities,
        compare=partial(compare_ece, binning=equal_width), level=partial(ece_of_rows, binning=equal_width),
        of_sums=_not_of_sums,
    ),
    Metric("ece_if_calibrated", ("labels",), lambda report: report.ece_if_calibrated,
           "Mean ECE of a calibrated model with the same confidences.", tag=False),
    Metric("mean_confidence", ("labels",), lambda report: report.mean_confidence,
           "Mean probability of the likelier label.", label="mean confidence", study="table",
           statistics=lambda report: _means(report, lambda truth, p: np.maximum(p, 1 - p))),
    # Training rows, some of which have a wrong label
    Metric(
        "memorised_share", ("training",), lambda found: found.memorization.memorised_share,
        "Share of the flipped training rows that are answered with their wrong label.",
        False, label="flipped rows memorised", study="plot", keys=("train/memorised_share",),
    ),
    Metric(
        "detection_auroc", ("training",), lambda found: (found.out_of_fold or found.in_sample).auroc,
        "AUROC of the loss of the given label for finding flipped rows, out of fold where that was computed.",
        True, label="flipped rows found (AUROC)", study="plot", axis=(0.4, 1.0), chance=0.5,
        keys=("detection/out_of_fold_auroc", "detection/in_sample_auroc"),
    ),
    Metric(
        "flipped_share", ("training",), lambda found: found.in_sample.flipped_share,
        "Share of the training rows whose label is wrong.",
        label="labels that are wrong", study="table", keys=("detection/flipped_share",),
    ),
    Metric(
        "pruning_gain", ("training",), lambda found: found.pruning and found.pruning.gain,
        "Accuracy gained by leaving out the most suspect training rows, as many as were flipped.",
        True, (-1.0, 1.0), "gain of pruning", study="table", keys=("pruning/gain",),
    ),
    Metric(
        "estimated_flips", ("training",), lambda found: found.estimated_flips,
        "Number of training rows whose label is estimated to be wrong, out of fold, by cleanlab's count.",
        None, NOT_NEGATIVE, "estimated flips", format=".0f", study="table", keys=("detection/estimated_flips",),
    ),
    Metric(
        "estimated_pruning_gain", ("training",),
        lambda found: found.pruning_by_estimate and found.pruning_by_estimate.gain,
        "The same gain where as many rows are left out as are estimated to be flipped.",
        True, (-1.0, 1.0), "gain of pruning by estimate", study="table", keys=("pruning_by_estimate/gain",),
    ),
    # Answers chosen by their likelihood
    Metric(
        "mc1", ("choices",), lambda report: report.mc1,
        "TruthfulQA's MC1: share of questions whose best answer is likelier than every incorrect one.",
        True, label="MC1", rank=11, headline=True, interval=lambda report: report.mc1_interval, study="plot",
        statistics=lambda report: flags(report.right),
    ),
    Metric(
        "mc2", ("choices",), lambda report: report.mc2,
        "TruthfulQA's MC2: mean share of the correct answers in the probability of all.",
        True, label="MC2", rank=12, headline=True, study="record",
        statistics=lambda report: np.stack([report.shares, np.ones(len(report.shares))], axis=-1),
        compare=CompareBounded(ratio, is_continuous=True),
    ),
)  # fmt: skip
"""Entries of the table of metrics."""
