"""Evaluating a classifier: four outcomes of a row, and the metrics computed from them.

An answer is one of the two labels, or *invalid* (an answer that is neither), or *error* (no answer: the request
failed). The last two never count as a class, whatever the class that they would happen to hit: such rows are wrong in
``accuracy`` and left out of ``answered_accuracy``. An undefined metric is None, never 0 or 1.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from data.labelled import SENTIMENTS, Labels
from evals import calibration, metrics
from evals.intervals import Interval, wilson
from evals.label_metrics import rate_names, score_names

#: 0 and 1 are indices into the names of the labels.
Outcome = Literal[0, 1, "invalid", "error"]
OUTCOMES: tuple[Outcome, ...] = (0, 1, "invalid", "error")
#: What may stand around a label without making it another answer.
AROUND = " \t\r\n.,;:!?\"'`*_()[]{}<>\u2018\u2019\u201c\u201d\u00ab\u00bb\u2026"


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer of a model to one row.

    ``p_positive`` is its probability of label 1, renormalised over the two labels; None where it is not known. It may
    be known for an invalid answer too. ``raw`` is the answer as it came, ``error`` why there is none.
    """

    outcome: Outcome
    p_positive: float | None = None
    raw: str = ""
    error: str = ""

    def __post_init__(self) -> None:
        if self.p_positive is not None and not 0 <= self.p_positive <= 1:  # NaN is refused too
            raise ValueError(f"p_positive is a probability, not {self.p_positive}")

    def name(self, labels: Labels) -> str:
        """The outcome as a word."""
        return self.outcome if isinstance(self.outcome, str) else labels[self.outcome]


def parse_answer(text: str, labels: Labels = SENTIMENTS) -> Outcome:
    """The label that an answer is, else "invalid".

    The whole answer must be the name of one label: " Positive.", "**positive**" and "POSITIVE" are, "positive or
    negative", "not positive", "It is positive", "positively" and an empty answer are not. A reader would understand
    some of them, but metrics would then measure the guessing.

    Case, white space and the signs in ``AROUND`` at both ends don't count, unless the labels differ in just these.
    Texts are compared in composed form (NFC).

    Raises:
        ValueError: the labels are equal, or one is empty.
    """
    composed = [unicodedata.normalize("NFC", each) for each in (*labels, text)]
    for plain in (lambda word: word.strip(AROUND).casefold(), lambda word: word.strip().casefold(), str.strip):
        *names, word = map(plain, composed)
        if all(names) and names[0] != names[1]:
            return 0 if word == names[0] else 1 if word == names[1] else "invalid"
    raise ValueError(f"the labels {labels[0]!r} and {labels[1]!r} are not distinct")


def from_probabilities(p_positive: Sequence[float] | np.ndarray, labels: Labels = SENTIMENTS) -> list[Prediction]:
    """Predictions of a learner that always answers: label 1 where its probability is above a half."""
    return [Prediction(1 if p > 0.5 else 0, float(p), labels[int(p > 0.5)]) for p in p_positive]


@dataclass(frozen=True)
class ClassScores:
    """Scores of one label; None where it was never answered (precision), never true (recall), or neither (F1)."""

    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class ClassificationReport:
    """What is measured of one model on one list of rows; 95 % intervals as (low, high).

    ``confusion[t][o]`` counts rows whose true label is ``t`` and whose outcome is ``OUTCOMES[o]``. ``macro`` is the
    plain mean over both labels, None where either is. Likelihood accuracy (the share of rows whose true label is the
    likelier one, whatever was answered), AUC, Brier score, ECE and mean confidence are over the
    ``n_probabilities`` rows whose probability is known (see ``evals.calibration``). ``truth`` and ``predictions`` are
    what it was computed from, for further metrics of ``evals.metrics.METRICS``.
    """

    n: int
    labels: Labels
    confusion: tuple[tuple[int, ...], tuple[int, ...]]
    accuracy: float | None
    accuracy_interval: Interval | None
    answered_accuracy: float | None
    answered_interval: Interval | None
    rates: dict[str, float | None]
    classes: tuple[ClassScores, ClassScores]
    macro: ClassScores
    n_probabilities: int
    likelihood_accuracy: float | None
    likelihood_interval: Interval | None
    auc: float | None
    brier: float | None
    ece: float | None
    ece_interval: Interval | None
    ece_if_calibrated: float | None
    ece_equal_width: float | None
    mean_confidence: float | None
    truth: Sequence[int] = field(default=(), repr=False)
    predictions: Sequence[Prediction] = field(default=(), repr=False)

    @property
    def label_rates(self) -> dict[str, float | None]:
        """Share of rows that were answered with each label, as ``LABEL_rate``."""
        known = keys(self.labels)
        return {name: self.rates[key] for name, key in zip(rate_names(known), known, strict=True)}

    @property
    def label_scores(self) -> dict[str, float | None]:
        """Precision, recall and F1 of each label, as ``precision_LABEL`` and so on."""
        values = [value for scores in self.classes for value in (scores.precision, scores.recall, scores.f1)]
        return dict(zip(score_names(keys(self.labels)), values, strict=True))

    def record(self) -> dict[str, float | None]:
        """Every metric of labels by its name; None is undefined."""
        return metrics.evaluate("labels", self)

    def metrics(self) -> dict[str, float]:
        """The metrics that are defined, by name."""
        return metrics.defined(self.record())

    def statistics(self) -> dict[str, np.ndarray]:
        """Statistics of each row by metric, see ``evals.metrics.statistics``."""
        return metrics.statistics("labels", self)


def evaluate(
    truth: Sequence[int], predictions: Sequence[Prediction], labels: Labels = SENTIMENTS, seed: int = 0
) -> ClassificationReport:
    """Compare predictions with the true labels (0 or 1); ``seed`` is that of the interval of the ECE.

    Precision is over the rows with that answer, recall over the rows with that label, answered or not; F1 is
    2 TP / (2 TP + FP + FN).

    Raises:
        ValueError: not one prediction a row, or a label other than 0 and 1.
    """
    _require_pairs(truth, predictions)
    counts = [[0] * len(OUTCOMES) for _ in range(2)]
    for label, each in zip(truth, predictions, strict=True):
        counts[label][OUTCOMES.index(each.outcome)] += 1
    table = np.array(counts)
    n, right, answered = len(truth), int(table[0, 0] + table[1, 1]), int(table[:, :2].sum())
    classes = _class_scores(table, 0), _class_scores(table, 1)
    known = [i for i, each in enumerate(predictions) if each.p_positive is not None]
    p = np.array([predictions[i].p_positive for i in known], dtype=float)
    y = np.array([truth[i] for i in known], dtype=int)
    measured, likelier = calibration.measure(y, p, seed), int(((p > 0.5) == (y == 1)).sum())
    return ClassificationReport(
        n=n,
        labels=labels,
        confusion=(tuple(counts[0]), tuple(counts[1])),
        accuracy=_share(right, n),
        accuracy_interval=wilson(right, n) if n else None,
        answered_accuracy=_share(right, answered),
        answered_interval=wilson(right, answered) if answered else None,
        rates={name: _share(int(table[:, i].sum()), n) for i, name in enumerate((*keys(labels), "invalid", "error"))},
        classes=classes,
        macro=ClassScores(*(_mean(classes, kind) for kind in ("precision", "recall", "f1"))),
        n_probabilities=len(known),
        likelihood_accuracy=_share(likelier, len(known)),
        likelihood_interval=wilson(likelier, len(known)) if known else None,
        auc=auc(y, p),
        brier=measured.brier,
        ece=measured.ece,
        ece_interval=measured.ece_interval,
        ece_if_calibrated=measured.ece_if_calibrated,
        ece_equal_width=measured.ece_equal_width,
        mean_confidence=measured.mean_confidence,
        truth=truth,
        predictions=predictions,
    )


def auc(truth: Sequence[int] | np.ndarray, scores: Sequence[float] | np.ndarray) -> float | None:
    """Chance that a row of label 1 scores above one of label 0, ties half; None where there is only one class."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(truth, scores)) if len(np.unique(truth)) == 2 else None


def _class_scores(table: np.ndarray, label: int) -> ClassScores:
    hits, answered, true = int(table[label, label]), int(table[:, label].sum()), int(table[label].sum())
    return ClassScores(_share(hits, answered), _share(hits, true), _share(2 * hits, answered + true))


def _mean(classes: Sequence[ClassScores], kind: str) -> float | None:
    values = [getattr(each, kind) for each in classes]
    return None if None in values else sum(values) / len(values)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def keys(labels: Labels) -> tuple[str, str]:
    """The labels as parts of the names of metrics; label_0 and label_1 where those would not be distinct."""
    first, second = ("".join(ch if ch.isalnum() else "_" for ch in label.strip().casefold()) for label in labels)
    clear = first != second and not {first, second} & {"invalid", "error", "macro", ""}
    return (first, second) if clear else ("label_0", "label_1")


def _require_pairs(truth: Sequence[int], predictions: Sequence[Prediction]) -> None:
    if len(truth) != len(predictions):
        raise ValueError(f"{len(truth)} rows but {len(predictions)} predictions")
    if strange := set(truth) - {0, 1}:
        raise ValueError(f"true labels are 0 or 1, not {min(strange, key=str)!r}")
