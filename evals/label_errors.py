"""Finding flipped labels by a learner's loss, how far it memorised them, and what leaving them out gains.

All of it works with any learner: a model that is fitted to rows with given labels and predicts p(label 1) of rows. A
row is suspect where the loss of its given label is high. In sample, the learner has seen that label and may have
memorised it; out of fold, a row is scored by a learner that has not seen it (Chong et al. 2022, Detecting Label
Errors by Using Pre-trained Language Models, arXiv:2205.12702). The labels that were right before are only ever used
to score the result.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import floor, log
from typing import Protocol

import numpy as np

from data.errors import DataError
from data.labelled import AnyRow, R

#: Probabilities below this count as this much, so that a loss is finite.
LEAST_PROBABILITY = 1e-12
#: By how much a probability may miss a mean that it reaches.
ROUNDING = 1e-6


class Classifier(Protocol):
    """Something that was fitted."""

    def p_positive(self, rows: Sequence[AnyRow]) -> np.ndarray:
        """Probability of label 1 for each row."""
        ...


#: (rows, the label given to each) -> what was learned; must draw nothing, or draw from a seed of its own.
Fit = Callable[[Sequence[AnyRow], Sequence[int]], Classifier]


@dataclass(frozen=True)
class Detection:
    """How well scores rank flipped rows first; None where none or all are flipped.

    ``auroc``: the chance that a flipped row scores above another. ``auprc``: average precision; chance gives
    ``flipped_share``.
    """

    flipped_share: float | None
    auroc: float | None
    auprc: float | None


@dataclass(frozen=True)
class Memorization:
    """Answers on the training rows; shares of rows, None where there are no such rows.

    ``memorised_share``: of the flipped rows, those answered with the wrong label they were given.
    """

    memorised_share: float | None
    accuracy_true: float | None
    accuracy_given: float | None


@dataclass(frozen=True)
class Pruning:
    """What leaving out the most suspect rows did.

    ``precision`` is the share of the ``dropped`` rows that was flipped, ``noise_before`` and ``noise_after`` the
    share of flipped rows among all and among those kept; accuracies are on the test rows.
    """

    dropped: int
    precision: float | None
    noise_before: float
    noise_after: float
    accuracy_before: float
    accuracy_after: float

    @property
    def gain(self) -> float:
        """What accuracy gained."""
        return self.accuracy_after - self.accuracy_before


def losses(p_positive: Sequence[float] | np.ndarray, given: Sequence[int] | np.ndarray) -> np.ndarray:
    """Loss of each given label in nats, -ln p(given)."""
    p, labels = np.asarray(p_positive, dtype=float), np.asarray(given)
    if p.shape != labels.shape:
        raise ValueError(f"{p.size} probabilities but {labels.size} labels")
    return -np.log(np.maximum(np.where(labels == 1, p, 1 - p), LEAST_PROBABILITY))


def out_of_fold(fit: Fit, rows: Sequence[AnyRow], given: Sequence[int], seed: int, folds: int = 5) -> np.ndarray:
    """p(label 1) of each row by a learner fitted to the other folds: ``folds`` fits.

    Folds are drawn with ``seed`` and hold the same shares of the *given* labels; the true ones are not used.
    With fewer rows of a class than folds there are as many folds as such rows.

    Raises:
        DataError: a class has fewer than two rows, so that some fold's learner would never see it.
    """
    from sklearn.model_selection import StratifiedKFold

    labels = np.asarray(given)
    rarest = min(int((labels == label).sum()) for label in (0, 1))
    if rarest < 2:
        raise DataError([f"{rarest} of {len(rows):,} rows have the rarer label: out-of-fold losses need 2 or more"])
    p_positive = np.full(len(rows), np.nan)
    splits = StratifiedKFold(min(folds, rarest), shuffle=True, random_state=seed)
    for others, fold in splits.split(labels, labels):
        learner = fit([rows[i] for i in others], labels[others].tolist())
        p_positive[fold] = learner.p_positive([rows[i] for i in fold])
    return p_positive


def detect(scores: Sequence[float] | np.ndarray, flipped: Sequence[bool]) -> Detection:
    """How well ``scores`` (higher is more suspect, such as ``losses``) find the rows that are known to be flipped."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    mask = np.asarray(flipped, dtype=bool)
    if len(np.asarray(scores)) != len(mask):
        raise ValueError(f"{len(np.asarray(scores))} scores but {len(mask)} rows")
    if not len(mask):
        return Detection(None, None, None)
    share = float(mask.mean())
    if mask.all() or not mask.any():
        return Detection(share, None, None)
    return Detection(share, float(roc_auc_score(mask, scores)), float(average_precision_score(mask, scores)))


def estimated_flips(p_positive: Sequence[float] | np.ndarray, given: Sequence[int] | np.ndarray) -> int:
    """How many labels are wrong, estimated without knowing one: cleanlab's count (``off_diagonal_calibrated``).

    A row is counted for the label whose probability reaches the mean that the rows given this label have (for the
    likelier one, if both do). Of the rows given a label, as large a share as is counted for the other is taken to be
    wrong (Northcutt, Jiang and Chuang, Confident Learning, Journal of Artificial Intelligence Research 70, 2021).

    Args:
        p_positive: probability of label 1 of each row, out of fold.
        given: the labels, 0 or 1.
    """
    p, labels = np.asarray(p_positive, dtype=float), np.asarray(given)
    if p.shape != labels.shape:
        raise ValueError(f"{p.size} probabilities but {labels.size} labels")
    both = np.stack([1 - p, p], axis=1)
    counts = [int((labels == label).sum()) for label in (0, 1)]
    least = [both[labels == label, label].mean() if counts[label] else np.inf for label in (0, 1)]
    reached = both >= np.array(least) - ROUNDING
    counted_for = np.where(reached.all(1), both.argmax(1), reached.argmax(1))
    found = 0
    for label in (0, 1):
        own = reached.any(1) & (labels == label)
        other, same = int((counted_for[own] != label).sum()), int((counted_for[own] == label).sum())
        found += round(counts[label] * other / (other + max(same, 1)))
    return found


def memory(answers: Sequence[int | str], given: Sequence[int], true: Sequence[int]) -> Memorization:
    """How far outcomes on the training rows agree with given and true labels; "invalid" and "error" agree with none."""
    triples = list(zip(answers, given, true, strict=True))
    flipped = [(answer, label) for answer, label, right in triples if label != right]
    return Memorization(
        _share([answer == label for answer, label in flipped]),
        _share([answer == right for answer, _, right in triples]),
        _share([answer == label for answer, label, _ in triples]),
    )


def prune(rows: Sequence[R], scores: Sequence[float] | np.ndarray, share: float) -> list[R]:
    """The rows without the ``share`` of them that scores highest, in their order; of equal scores the later row goes.

    Rounded down, so that a share of 0 leaves out nothing.
    """
    return [rows[i] for i in _kept(scores, len(rows), share)]


def prune_and_retrain(
    fit: Fit,
    rows: Sequence[AnyRow],
    true: Sequence[int],
    scores: Sequence[float] | np.ndarray,
    share: float,
    test: Sequence[AnyRow],
    before: Classifier,
) -> Pruning:
    """Leave out the most suspect ``share`` of ``rows``, fit again, and compare with ``before`` on ``test``.

    ``rows`` carry the labels they are given, ``true`` those they had; test rows carry the true ones. ``scores`` should
    come out of fold.

    Raises:
        DataError: there are no test rows, or nothing to learn from is left.
    """
    if not test:
        raise DataError(["there are no test rows: what pruning gains can't be said"])
    kept = _kept(scores, len(rows), share)
    flipped = np.array([row.label != label for row, label in zip(rows, true, strict=True)])
    dropped = len(rows) - len(kept)
    if not kept:
        raise DataError([f"pruning {share:.0%} of {len(rows):,} rows leaves none to learn from"])
    after = fit([rows[i] for i in kept], [rows[i].label for i in kept])
    left = int(flipped[kept].sum())
    return Pruning(
        dropped=dropped,
        precision=(int(flipped.sum()) - left) / dropped if dropped else None,
        noise_before=float(flipped.mean()),
        noise_after=left / len(kept),
        accuracy_before=_accuracy(before, test),
        accuracy_after=_accuracy(after, test),
    )


def best_loss(rate: float) -> float:
    """The lowest mean loss in nats on labels flipped with chance ``rate``: their entropy H(rate) where texts say all.

    No prediction beats the true distribution (Gibbs' inequality; Cover and Thomas, Elements of Information Theory, 2nd
    ed. 2006, theorem 2.6.3). Whoever is below it on the training rows has memorised some of them.
    """
    _require_rate(rate)
    return -sum(p * log(p) for p in (rate, 1 - rate) if p)


def best_confidence(rate: float) -> float:
    """How sure a learner of symmetric noise is where it learned all that can be: the likelier given label's chance."""
    _require_rate(rate)
    return max(rate, 1 - rate)


def best_ece(rate: float) -> float:
    """The ECE of that learner against the *true* labels: ``rate``.

    Below a half it is right on every row with confidence 1 - rate, so underconfident by ``rate``; above a half it is
    wrong on every row with confidence ``rate``. (At exactly a half every answer is a guess, right half of the time: the
    line is its limit from both sides.)
    """
    _require_rate(rate)
    return rate


def _require_rate(rate: float) -> None:
    if not 0 <= rate <= 1:
        raise ValueError(f"a rate is from 0 to 1, not {rate}")


def _kept(scores: Sequence[float] | np.ndarray, n: int, share: float) -> list[int]:
    ranked = np.asarray(scores, dtype=float)
    if len(ranked) != n or np.isnan(ranked).any():
        raise ValueError(f"{n} rows need as many scores, none of them NaN; got {len(ranked)}")
    if not 0 <= share <= 1:
        raise ValueError(f"share is from 0 to 1, not {share}")
    keep = n - floor(n * share + 1e-9)  # .29 * 100 is 28.999999999999996
    return sorted(np.argsort(ranked, kind="stable")[:keep].tolist())


def _accuracy(learner: Classifier, rows: Sequence[AnyRow]) -> float:
    return float(np.mean((learner.p_positive(rows) > 0.5) == np.array([row.label == 1 for row in rows])))


def _share(hits: list[bool]) -> float | None:
    return sum(hits) / len(hits) if hits else None
