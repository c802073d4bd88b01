"""The surest mistakes with their texts, and the rate of mistakes by label, length, rating and category."""

from data.labelled import LabelledRow, QuestionRow
from evals.classification import Prediction
from evals.error_analysis import by_group, most_confident
from evals.intervals import wilson


def row(i, label, text="a text", **more):
    return LabelledRow(text, label, f"t-{i}", i, **more)


def test_mistakes_come_surest_first_and_silence_is_none_of_them():
    rows = [row(i, label, f"text {i}", rating=i + 1) for i, label in enumerate([1, 0, 1, 0, 1, 0, 0])]
    said = [(0, 0.3), (1, 0.95), ("invalid", 0.01), ("error", None), (1, 0.99), (1, None), (1, 0.6)]
    found = most_confident(rows, [r.label for r in rows], [Prediction(o, p, f"raw {o}") for o, p in said])
    assert [record["id"] for record in found] == ["t-1", "t-0", "t-6", "t-5"]
    first = found[0]
    assert (first["true"], first["answered"], first["confidence"]) == ("negative", "positive", 0.95)
    assert (first["text"], first["rating"], first["answer"], first["characters"]) == ("text 1", 2, "raw 1", 6)
    assert found[1]["confidence"] == 0.7 and found[-1]["confidence"] is None
    assert len(most_confident(rows, [r.label for r in rows], [Prediction(o, p) for o, p in said], most=2)) == 2


def test_groups_count_every_row_that_is_not_right():
    rows = [row(i, i % 2, "x" * (i + 1), rating=1 + 8 * (i % 2), category="ab"[i // 4]) for i in range(8)]
    outcomes = [0, 1, 1, "error", 0, "invalid", 0, 1]
    found = by_group(rows, [r.label for r in rows], [Prediction(o) for o in outcomes])
    groups = {(record["grouping"], record["group"]): record for record in found}
    assert [groups["label", name]["mistakes"] for name in ("negative", "positive")] == [1, 2]
    assert groups["label", "positive"]["unanswered"] == 2
    assert [(g, groups["length", g]["mistakes"]) for (kind, g) in groups if kind == "length"] == [
        ("1 to 2 characters", 0), ("3 to 4 characters", 2), ("5 to 6 characters", 1), ("7 to 8 characters", 0),
    ]  # fmt: skip
    assert [g for kind, g in groups if kind == "rating"] == ["1", "9"]
    a = groups["category", "a"]
    assert (a["rows"], a["mistakes"], a["mistake_rate"], (a["low"], a["high"])) == (4, 2, 0.5, wilson(2, 4))
    for grouping in {kind for kind, _ in groups}:
        assert sum(record["rows"] for record in found if record["grouping"] == grouping) == 8


def test_numbers_are_ordered_by_size():
    rows = [row(i, 0, "x" * n, rating=r) for i, (n, r) in enumerate([(5, 10), (1200, 2), (90, 9), (30000, 1)])]
    found = by_group(rows, [0] * 4, [Prediction(0)] * 4)
    assert [r["group"] for r in found if r["grouping"] == "rating"] == ["1", "2", "9", "10"]
    lengths = [r["group"] for r in found if r["grouping"] == "length"]
    assert lengths == [
        "5 to 5 characters",
        "6 to 90 characters",
        "91 to 1,200 characters",
        "1,201 to 30,000 characters",
    ]


def test_groupings_that_the_rows_do_not_have_are_left_out_and_equal_lengths_stay_together():
    rows = [row(i, i % 2) for i in range(9)]
    found = by_group(rows, [r.label for r in rows], [Prediction(1)] * 9)
    assert {record["grouping"] for record in found} == {"label", "length"}
    assert [record["rows"] for record in found if record["grouping"] == "length"] == [9]
    assert by_group([], [], []) == [] and most_confident([], [], []) == []


def test_questions_can_be_grouped_too():
    rows = [QuestionRow("?", "a", ("a",), ("b",), f"q-{i}", i, category=name) for i, name in enumerate(("Law", "Art"))]
    found = by_group(rows, [1, 1], [Prediction(1), Prediction(0)], ("incorrect", "best"))
    assert [(r["group"], r["mistakes"]) for r in found if r["grouping"] == "category"] == [("Art", 1), ("Law", 0)]
