"""Errors of a classifier: the most confident ones, and error rates by label, length, rating and category."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from data.labelled import SENTIMENTS, AnyRow, Labels
from evals.classification import Prediction
from evals.intervals import wilson

Record = dict[str, Any]


def most_confident(
    rows: Sequence[AnyRow],
    truth: Sequence[int],
    predictions: Sequence[Prediction],
    labels: Labels = SENTIMENTS,
    most: int = 50,
) -> list[Record]:
    """Rows that were answered with the wrong label, by falling confidence, each with its whole text.

    Confidence is the probability of the label that was answered. Rows whose probability is not known come last, in
    order. Invalid answers and failed requests are left out: they name no label.
    """
    wrong = [
        (row, label, each)
        for row, label, each in zip(rows, truth, predictions, strict=True)
        if each.outcome == 1 - label  # never true of "invalid" and "error"
    ]
    wrong.sort(key=lambda found: -(_confidence(found[2]) or 0.0))
    return [
        {
            "id": row.id,
            "true": labels[label],
            "answered": each.name(labels),
            "confidence": _confidence(each),
            "rating": getattr(row, "rating", None),
            "category": row.category,
            "characters": len(row.text),
            "answer": each.raw,
            "text": row.text,
        }
        for row, label, each in wrong[:most]
    ]


def by_group(
    rows: Sequence[AnyRow],
    truth: Sequence[int],
    predictions: Sequence[Prediction],
    labels: Labels = SENTIMENTS,
) -> list[Record]:
    """One record for each label, quarter of lengths, rating and category: rows, mistakes, and their rate.

    Here every row counts that isn't right, unanswered ones too (``unanswered`` of the mistakes). ``low`` and ``high``
    are the rate's 95 % Wilson interval. Groupings that the rows don't have are left out.
    """
    grouped = [("label", [labels[label] for label in truth]), ("length", _quarters(rows))]
    grouped += [(name, _values(rows, get)) for name, get in (("rating", _rating), ("category", _category))]
    right = [each.outcome == label for label, each in zip(truth, predictions, strict=True)]
    unanswered = [isinstance(each.outcome, str) for each in predictions]
    return [
        _record(grouping, value, [i for i, other in enumerate(values) if other == value], right, unanswered)
        for grouping, values in grouped
        for value in _in_order(values)
    ]


def _record(grouping: str, value: str, members: list[int], right: list[bool], unanswered: list[bool]) -> Record:
    errors = sum(not right[i] for i in members)
    low, high = wilson(errors, len(members))
    return {
        "grouping": grouping,
        "group": value,
        "rows": len(members),
        "mistakes": errors,
        "unanswered": sum(unanswered[i] for i in members),
        "mistake_rate": errors / len(members),
        "low": low,
        "high": high,
    }


def _quarters(rows: Sequence[AnyRow]) -> list[str | None]:
    """For each row the quarter of the lengths it is in; equally long rows are in the same one."""
    if not rows:
        return []
    lengths = sorted(len(row.text) for row in rows)
    borders = sorted({lengths[max(0, -(-len(lengths) * k // 4) - 1)] for k in (1, 2, 3, 4)})
    names = []
    low = lengths[0]
    for border in borders:
        names.append(f"{low:,} to {border:,} characters")
        low = border + 1
    return [next(name for name, top in zip(names, borders, strict=True) if len(row.text) <= top) for row in rows]


def _values(rows: Sequence[AnyRow], get: Callable[[AnyRow], str | None]) -> list[str | None]:
    found = [get(row) for row in rows]
    return found if len(set(found) - {None}) > 1 else []


def _rating(row: AnyRow) -> str | None:
    rating = getattr(row, "rating", None)  # questions have none
    return None if rating is None else str(rating)


def _category(row: AnyRow) -> str | None:
    return row.category


def _in_order(values: Iterable[str | None]) -> list[str]:
    """The distinct values: numbers by size, whatever they begin with; others by the alphabet."""
    found = {value for value in values if value is not None}
    return sorted(found, key=lambda value: (_leading_number(value), value))


def _leading_number(value: str) -> float:
    digits = value.split(" ")[0].replace(",", "")
    return float(digits) if digits.isdigit() else float("inf")


def _confidence(each: Prediction) -> float | None:
    if each.p_positive is None:
        return None
    return each.p_positive if each.outcome == 1 else 1 - each.p_positive
