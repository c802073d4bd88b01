"""The table of metrics: what each is computed from and how, and how reports, cards, the page and studies show it.

To add a metric, add one entry to ``METRICS``: it is then computed wherever its data is there, logged as
``base/NAME`` and ``test/NAME``, tagged on the registered version and shown by its label.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np

from evals import text_metrics
from evals.metric import NOT_NEGATIVE, AnswerData, Data, Metric
from evals.paired import Difference, difference, ratio

#: Losses above this many nats give the perplexity of this many: exp(709) is the last that a float holds.
MOST_NATS = 80


def evaluate(data: Data, source: Any) -> dict[str, float | None]:
    """Every metric of ``data``, in the order of the table, with the ends of its interval; None is undefined."""
    found: dict[str, float | None] = {}
    for metric in METRICS.values():
        if data in metric.data:
            found |= _values(metric, source)
    return found


def _values(metric: Metric, source: Any) -> dict[str, float | None]:
    value = metric.compute(source)
    found: dict[str, float | None] = dict(value) if isinstance(value, Mapping) else {metric.name: value}
    if metric.interval:
        low, high = metric.interval(source) or (None, None)
        found |= {f"{metric.name}_low": low, f"{metric.name}_high": high}
    return found


def defined(found: Mapping[str, float | None]) -> dict[str, float]:
    """The metrics that have a value."""
    return {key: float(value) for key, value in found.items() if value is not None}


def statistics(data: Data, source: Any) -> dict[str, np.ndarray]:
    """Statistics of each row, ``[rows, k]``, for every metric of ``data`` that is a function of their sums."""
    found = {metric.name: metric.statistics(source) for metric in in_order(data) if metric.statistics}
    return {name: each for name, each in found.items() if each is not None}


def changes(before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray], seed: int = 0) -> dict[str, Difference]:
    """How much two models differ on the same rows, by metric, from the statistics of their rows.

    Args:
        seed: of resampled intervals.
    """
    found = {
        name: difference(before[name], after[name], METRICS[name].of_sums, seed) for name in after if name in before
    }
    return {name: change for name, change in found.items() if change}


def change_metrics(found: Mapping[str, Difference]) -> dict[str, float]:
    """Changes as metrics of a run: ``change/NAME``, and the ends of its interval as ``_low`` and ``_high``."""
    keyed: dict[str, float | None] = {}
    for name, change in found.items():
        keyed |= {
            f"change/{name}": change.change,
            f"change/{name}_low": change.low,
            f"change/{name}_high": change.high,
        }
    return defined(keyed)


def in_order(*data: Data) -> list[Metric]:
    """The metrics of any of ``data`` (of all where none is named) by rank, those without one in the table's order."""
    chosen = [metric for metric in METRICS.values() if not data or set(data) & set(metric.data)]
    return sorted(chosen, key=lambda metric: math.inf if metric.rank is None else metric.rank)


def is_tag(key: str) -> bool:
    """Whether registered versions have the logged metric as a tag: as its entry says; all that a suite logged."""
    return METRICS[key].tag if key in METRICS else "/" in key


def for_studies(level: Literal["record", "table", "plot"], *data: Data) -> list[Metric]:
    """The metrics of any of ``data`` that a study uses at least this far, in the same order."""
    levels = ("", "record", "table", "plot")
    return [metric for metric in in_order(*data) if levels.index(metric.study) >= levels.index(level)]


def short_labels() -> dict[str, str]:
    """Short label of every metric by its name, by rank: what the registry's lists and the page show."""
    return {metric.name: metric.short_label or metric.shown_as for metric in in_order()}


def share(flags: Iterable[bool]) -> float:
    """The share of true ones among at least one."""
    every = list(flags)
    return sum(every) / len(every)


def _flags(flags: Iterable[bool]) -> np.ndarray:
    """The statistics of a share of rows."""
    hits = np.array(list(flags), dtype=float)
    return np.stack([hits, np.ones_like(hits)], axis=-1)


def _of_flags(flags: np.ndarray | None) -> float | None:
    return None if flags is None else float(ratio(flags.sum(0)))


def _echoes(data: AnswerData) -> np.ndarray:
    return _flags(map(text_metrics.is_echo, data.prompts, data.references, data.answers))


def _in_style(data: AnswerData) -> np.ndarray | None:
    return _flags(map(data.has_style, data.answers)) if data.has_style else None


def _hits(report: Any) -> np.ndarray:
    return _flags(each.outcome == label for label, each in zip(report.truth, report.predictions, strict=True))


def _squared_errors(report: Any) -> np.ndarray | None:
    probabilities = [each.p_positive for each in report.predictions]
    if not probabilities or None in probabilities:
        return None
    errors = (np.array(probabilities) - np.array(report.truth)) ** 2
    return np.stack([errors, np.ones_like(errors)], axis=-1)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        # Generated answers to held-out rows, in the order of reports
        Metric(
            "loss", ("answers",), lambda data: data.loss,
            "Mean cross-entropy of the held-out responses' tokens, in nats.",
            False, NOT_NEGATIVE, format=".2f", rank=13, statistics=lambda data: data.row_losses,
        ),
        Metric(
            "perplexity", ("answers",), lambda data: math.exp(min(data.loss, MOST_NATS)),
            "exp(loss).",
            False, (1.0, math.inf), format=".1f", rank=17, headline=True, study="table",
            statistics=lambda data: data.row_losses, of_sums=lambda sums: np.exp(np.minimum(ratio(sums), MOST_NATS)),
        ),
        Metric(
            "train_loss", ("answers",), lambda data: data.train_loss,
            "The same loss on training rows, of as many rows as are held out.",
            False, NOT_NEGATIVE, format=".2f",
        ),
        Metric(
            "chrf", ("answers",), lambda data: text_metrics.chrf(data.references, data.answers),
            "Corpus chrF of the answers against the references (Popovic 2015; sacrebleu's defaults).",
            True, (0.0, 100.0), "chrF", format=".1f", rank=2, headline=True, study="plot",
            statistics=lambda data: text_metrics.chrf_statistics(data.references, data.answers),
            of_sums=text_metrics.chrf_of_sums,
        ),
        Metric(
            "echo_rate", ("answers",), lambda data: _of_flags(_echoes(data)),
            "Share of answers that contain their prompt word for word where the reference does not.",
            False, label="echo", format=".2f", rank=14, headline=True, study="table", statistics=_echoes,
        ),
        Metric(
            "loop_rate", ("answers",), lambda data: share(map(text_metrics.is_loop, data.answers)),
            "Share of answers that repeat themselves: the same words three times in a row, or few distinct trigrams.",
            False, label="loop", format=".2f", rank=15, headline=True, study="plot",
            statistics=lambda data: _flags(map(text_metrics.is_loop, data.answers)),
        ),
        Metric(
            "stop_rate", ("answers",), lambda data: share(data.stopped),
            "Share of answers that the model ended itself, before max_new_tokens.",
            True, label="stop", format=".2f", rank=16, headline=True, study="plot",
            statistics=lambda data: _flags(data.stopped),
        ),
        Metric(
            "distinct_2", ("answers",), lambda data: text_metrics.distinct_2(data.answers),
            "Distinct word pairs over all word pairs of all answers (Li et al. 2016).",
            True, format=".2f", study="record",
        ),
        Metric(
            "copy_rate", ("answers",),
            lambda data: text_metrics.copy_rate(data.references, data.answers, data.training_responses),
            "Share of answers that are the training response of another prompt, word for word.",
            False, format=".2f",
        ),
        Metric(
            "prompts_cut", ("answers",), lambda data: float(sum(data.prompt_cut)),
            "Number of prompts that lost their beginning because they were too long for the model.",
            False, NOT_NEGATIVE, format=".0f",
        ),
        Metric(
            "length_ratio", ("answers",), lambda data: text_metrics.length_ratio(data.references, data.answers),
            "Words of all answers over words of all references.",
            None, NOT_NEGATIVE, format=".2f",
        ),
        Metric(
            "content_rate", ("answers",),
            lambda data: text_metrics.content_rate(data.prompts, data.references, data.answers),
            "Share of the content words that references took over from their prompts which the answers contain too.",
            True, label="content kept", format=".2f", rank=3, headline=True, study="plot",
            statistics=lambda data: text_metrics.content_kept(data.prompts, data.references, data.answers),
        ),
        Metric(
            "lexicon_rate", ("answers",), lambda data: _of_flags(_in_style(data)),
            "Share of answers with a word of the pirate lexicon; only where most references have one.",
            True, label="pirate lexicon", short_label="lexicon", format=".2f", rank=1, headline=True, study="plot",
            statistics=_in_style,
        ),
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
            "answered_accuracy", ("labels",), lambda report: report.answered_accuracy,
            "The same share among the rows that were answered with a label.",
            True, interval=lambda report: report.answered_interval, chance=0.5,
        ),
        Metric(
            "label_rates", ("labels",), lambda report: report.label_rates,
            "LABEL_rate: share of rows that were answered with the label.",
            tag=False,
        ),
        Metric(
            "invalid_rate", ("labels",), lambda report: report.rates["invalid"],
            "Share of rows with an answer that is neither label.",
            False, label="invalid", rank=9, headline=True,
            statistics=lambda report: _flags(each.outcome == "invalid" for each in report.predictions),
        ),
        Metric(
            "error_rate", ("labels",), lambda report: report.rates["error"],
            "Share of rows without an answer because the request failed.",
            False, label="errors", rank=10, headline=True,
        ),
        Metric(
            "label_scores", ("labels",), lambda report: report.label_scores,
            "precision_LABEL, recall_LABEL and f1_LABEL of each label.",
            True, tag=False,
        ),
        Metric("precision_macro", ("labels",), lambda report: report.macro.precision,
               "Mean of both labels' precision.", True, tag=False),
        Metric("recall_macro", ("labels",), lambda report: report.macro.recall,
               "Mean of both labels' recall.", True, tag=False),
        Metric("f1_macro", ("labels",), lambda report: report.macro.f1,
               "Mean of both labels' F1.", True, label="macro F1", rank=6, headline=True),
        Metric("n_probabilities", ("labels",), lambda report: report.n_probabilities,
               "Number of rows whose probability of a label is known.", None, NOT_NEGATIVE, format=".0f", tag=False),
        Metric(
            "auc", ("labels",), lambda report: report.auc,
            "Area under the ROC curve of the probability of label 1.",
            True, label="AUC", rank=5, headline=True, study="plot", axis=(0.4, 1.0), chance=0.5,
        ),
        Metric(
            "brier", ("labels",), lambda report: report.brier,
            "Brier score: mean squared error of the probability of label 1.",
            False, label="Brier", rank=8, headline=True, statistics=_squared_errors,
        ),
        Metric(
            "ece", ("labels",), lambda report: report.ece,
            "Expected calibration error: mean gap between confidence and accuracy in bins of equally many rows.",
            False, label="ECE", rank=7, headline=True, interval=lambda report: report.ece_interval, study="plot",
            axis=(0.0, 0.6),
        ),
        Metric("ece_if_calibrated", ("labels",), lambda report: report.ece_if_calibrated,
               "Mean ECE of a calibrated model with the same confidences.", tag=False),
        Metric("mean_confidence", ("labels",), lambda report: report.mean_confidence,
               "Mean probability of the likelier label.", label="mean confidence", study="table"),
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
            "Accuracy gained by leaving out the most suspect training rows.",
            True, (-1.0, 1.0), "gain of pruning", study="table", keys=("pruning/gain",),
        ),
        # Answers chosen by their likelihood
        Metric(
            "mc1", ("choices",), lambda report: report.mc1,
            "TruthfulQA's MC1: share of questions whose best answer is likelier than every incorrect one.",
            True, label="MC1", rank=11, headline=True, interval=lambda report: report.mc1_interval, study="plot",
            statistics=lambda report: _flags(report.right),
        ),
        Metric(
            "mc2", ("choices",), lambda report: report.mc2,
            "TruthfulQA's MC2: mean share of the correct answers in the probability of all.",
            True, label="MC2", rank=12, headline=True, study="record",
        ),
    )
}  # fmt: skip
