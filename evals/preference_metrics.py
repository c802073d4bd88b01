"""The metrics of preferences on held-out pairs or rated answers: part of ``evals.metrics``; and what they come from."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evals.intervals import Interval, wilson
from evals.metric import NOT_NEGATIVE, Metric, flags
from evals.paired import ratio
from evals.words import words


@dataclass(frozen=True)
class PreferenceData:
    """A model on held-out preferences, and its answers to their prompts.

    ``log_probs``: of the chosen and the rejected answer of each pair in nats, ``[pairs, 2]``; ``reference``: the same
    under the model that training started from. ``tokens``: how many tokens each answer has, ``[pairs, 2]``. For the
    start itself the two are the same, and its rewards say nothing. ``beta`` scales rewards. ``answers``: its
    own to the held-out prompts; ``references``: the chosen ones.
    """

    log_probs: np.ndarray
    reference: np.ndarray
    tokens: np.ndarray
    beta: float
    answers: Sequence[str]
    references: Sequence[str]

    @property
    def margins(self) -> np.ndarray:
        """The implied reward of each chosen answer less that of the rejected one: ``[pairs]``."""
        gains = self.log_probs - self.reference
        return self.beta * (gains[:, 0] - gains[:, 1])


def _accuracy(data: PreferenceData) -> np.ndarray:
    """Hits of each pair; equal rewards are half a hit, as is guessing."""
    rows = flags(data.margins > 0)
    rows[:, 0] += 0.5 * (data.margins == 0)
    return rows


def _accuracy_interval(data: PreferenceData) -> Interval | None:
    rows = _accuracy(data)
    return wilson(round(rows[:, 0].sum()), len(rows)) if len(rows) else None


def _of_mean(values: np.ndarray) -> np.ndarray:
    return np.stack([values, np.ones_like(values)], axis=-1)


def _mean(rows: np.ndarray) -> float:
    return float(ratio(rows.sum(0)))


def _words(data: PreferenceData) -> np.ndarray:
    return _of_mean(np.array([len(answer.split()) for answer in data.answers], dtype=float))


def _per_token(data: PreferenceData, side: int) -> np.ndarray:
    """Log-probability of a side's answers over their tokens: statistics ``[pairs, 2]``."""
    return np.stack([data.log_probs[:, side], data.tokens[:, side]], axis=-1).astype(float)


def _rouge(data: PreferenceData) -> np.ndarray:
    """Words of each reference that its answer has too, and words of the reference: ``[rows, 2]``."""
    counts = [
        (Counter(words(one)), Counter(words(two))) for one, two in zip(data.references, data.answers, strict=True)
    ]
    return np.array([(sum((one & two).values()), sum(one.values())) for one, two in counts], dtype=float)


UNBOUNDED = (-np.inf, np.inf)
#: Entries of ``evals.metrics.METRICS``.
PREFERENCE_METRICS = (
    Metric(
        "reward_accuracy", ("preferences",), lambda data: _mean(_accuracy(data)),
        "Share of held-out pairs whose chosen answer has the higher implied reward, beta times the log-probability "
        "less that under the start; half of pairs with equal rewards, so that the start itself has 0.5.",
        True, label="reward accuracy", format=".3f", rank=0, headline=True, study="plot", statistics=_accuracy,
        interval=_accuracy_interval, chance=0.5,
    ),
    Metric(
        "reward_margin", ("preferences",), lambda data: float(data.margins.mean()),
        "Mean implied reward of chosen answers less that of rejected ones.",
        True, UNBOUNDED, label="reward margin", format=".2f", study="record",
        statistics=lambda data: _of_mean(data.margins),
    ),
    Metric(
        "log_probs_chosen", ("preferences",), lambda data: _mean(_per_token(data, 0)),
        "Mean log-probability of the chosen answers' tokens, in nats.",
        True, (-np.inf, 0.0), label="log p chosen", format=".2f", headline=True, study="table",
        statistics=lambda data: _per_token(data, 0),
    ),
    Metric(
        "log_probs_rejected", ("preferences",), lambda data: _mean(_per_token(data, 1)),
        "Mean log-probability of the rejected answers' tokens, in nats.",
        None, (-np.inf, 0.0), label="log p rejected", format=".2f", headline=True, study="table",
        statistics=lambda data: _per_token(data, 1),
    ),
    Metric(
        "answer_words", ("preferences",), lambda data: _mean(_words(data)),
        "Mean number of words of the model's own answers.",
        None, NOT_NEGATIVE, label="words per answer", format=".1f", headline=True, study="plot", statistics=_words,
    ),
    Metric(
        "rouge1_recall", ("preferences",), lambda data: _mean(_rouge(data)),
        "Share of the words of the chosen answers that the model's own answers have too (ROUGE-1 recall, Lin 2004).",
        True, label="ROUGE-1 recall", format=".2f", headline=True, study="plot",
        statistics=_rouge,
    ),
)  # fmt: skip
