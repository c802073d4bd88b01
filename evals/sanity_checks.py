"""Warnings about what invalidates a score: a constant answer, failed requests, a slice of a sorted file.

Each of these once gave a perfect score to a model that had learned nothing. ``naive_score`` is that way of scoring,
kept to show it beside the ``warnings`` about the same answers.
"""

from collections import Counter
from collections.abc import Sequence
from math import floor

from data.columns import shortened
from data.labelled import SENTIMENTS, AnyRow, Labels, QuestionRow, is_sorted
from evals.classification import Prediction

#: One answer for this share of the answered rows is called constant ...
CONSTANT_SHARE = 0.98
#: ... unless the class itself has nearly this share of the rows.
COMMON_SHARE = 0.9
#: Failed requests and invalid answers are called out from this share of the rows on.
NOTABLE_SHARE = 0.05
MOST_SHOWN = 80  # characters of an answer or an error


def warnings(
    truth: Sequence[int], predictions: Sequence[Prediction], rows: Sequence[AnyRow], labels: Labels = SENTIMENTS
) -> list[str]:
    """Why the figures of these answers should not be believed, one sentence each; empty where nothing is wrong.

    ``rows`` are the test rows in the order in which they were drawn. Of questions the best answer is always the true
    one, so neither one class nor one answer for all of them is an alarm.
    """
    if not truth:
        return ["there are no test rows: nothing was measured"]
    counts = Counter(each.outcome for each in predictions)
    unanswered = [*_failed(predictions, counts), *_invalid(predictions, counts)]
    if isinstance(rows[0], QuestionRow):
        return unanswered
    return [*unanswered, *_constant(truth, counts, labels), *_slice(truth, rows, labels)]


def naive_score(truth: Sequence[int], predictions: Sequence[Prediction]) -> float:
    """Accuracy computed in the wrong way, for demonstration: whatever is not positive counts as negative.

    On rows that are all negative (the first of a sorted file) a model that always fails gets 1.000.
    """
    hits = [int(each.outcome == 1) == label for label, each in zip(truth, predictions, strict=True)]
    return sum(hits) / len(hits)


def _failed(predictions: Sequence[Prediction], counts: Counter[int | str]) -> list[str]:
    n, failed = len(predictions), counts["error"]
    if failed < max(1, NOTABLE_SHARE * n):
        return []
    first = next(each.error for each in predictions if each.outcome == "error")
    why = f" (the first: {shortened(first, MOST_SHOWN)})" if first else ""
    if failed == n:
        return [f"all {n:,} requests failed{why}: there are no answers, so nothing was measured"]
    return [f"{failed:,} of {n:,} requests failed{why}: they count as wrong, never as a class"]


def _invalid(predictions: Sequence[Prediction], counts: Counter[int | str]) -> list[str]:
    n, invalid = len(predictions), counts["invalid"]
    if invalid < max(1, NOTABLE_SHARE * n):
        return []
    raw = Counter(each.raw for each in predictions if each.outcome == "invalid").most_common(1)[0][0]
    most = "most answers are invalid: " if invalid > n / 2 else ""
    shown = repr(shortened(raw, MOST_SHOWN)) if raw.strip() else "an empty answer"
    return [f"{most}{invalid:,} of {n:,} are neither label (most often {shown}); they count as wrong, never as a class"]


def _constant(truth: Sequence[int], counts: Counter[int | str], labels: Labels) -> list[str]:
    answered = counts[0] + counts[1]
    if answered < 2:
        return []
    label = int(counts[1] > counts[0])
    share, true_share = counts[label] / answered, list(truth).count(label) / len(truth)
    if share < CONSTANT_SHARE or (share < 1 and true_share >= COMMON_SHARE):
        return []
    which = "rows" if answered == len(truth) else "answered rows"
    return [
        f"predicts {labels[label]} for {_percent(share)} of {which}: accuracy is the share of that class "
        f"({true_share:.3f} of the test rows), not what the model can do"
    ]


def _slice(truth: Sequence[int], rows: Sequence[AnyRow], labels: Labels) -> list[str]:
    n = len(truth)
    top = [row.position for row in rows] == list(range(n)) and n > 1
    cause = f": they are the first {n:,} of their file, as it lies there" if top else ""
    if len(set(truth)) == 1:
        return [
            f"all {n:,} test rows are {labels[truth[0]]}{cause}; a model that always says so scores 1.000, and AUC is "
            "undefined"
        ]
    if is_sorted(truth):
        return [f"the test rows are sorted by label, {labels[truth[0]]} first{cause}; a part of them is no sample"]
    return []


def _percent(share: float) -> str:
    return "100 %" if share == 1 else f"{floor(1000 * share) / 10:.1f} %"  # never rounded up to all
