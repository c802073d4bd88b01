"""The held-out rows of two versions: outcomes, filters, order and the file."""

import csv
import io
import json

import pytest

from data.errors import UserError
from demo import held_out
from demo.view import held_out as view


def item(number, before, after, *flags, text="Hello."):
    scores = {"before_score": before, "after_score": after}
    texts = {"prompt": f"Prompt {number}", "reference": "Ahoy.", "before": text, "after": "Ahoy there."}
    return {"number": number, **texts, **scores, "before_flags": [], "after_flags": [*flags]}


@pytest.fixture
def found():
    change = {"change": 1.5, "low": -0.25, "high": 3.0}
    primary = {"name": "chrf", "label": "chrF", "before": 16.0, "after": 17.5, "change": change}
    items = [
        item(1, 10.0, 20.0),
        item(2, 15.0, 15.0, "echo"),
        item(3, 30.0, 1.0, "loop"),
        item(4, None, 2.0, text="Ye!"),
    ]
    facts = {"items": items, "rows": 4, "order": "chrF", "primary": "chrf", "lowest_is_best": False}
    return held_out.from_report(json.dumps({**facts, "metrics": [primary]}), ("pirate/1:base", "pirate/1"))


def numbers(rows):
    return [row.item["number"] for row in rows]


def test_each_row_is_improved_unchanged_or_worse_by_its_score(found):
    assert found.counts() == {"improved": 1, "unchanged": 2, "worse": 1}
    assert [row.difference for row in found.rows] == [10.0, 0.0, -29.0, None]


def test_where_lower_is_better_a_lower_score_is_an_improvement(found):
    facts = {**found.facts, "lowest_is_best": True}
    assert held_out.from_report(json.dumps(facts), found.sides).rows[2].outcome == "improved"


def test_rows_are_filtered_by_outcome_flag_and_text_and_ordered(found):
    assert numbers(held_out.select(found.rows, outcome="worse")) == [3]
    assert numbers(held_out.select(found.rows, flag="echo")) == [2]
    assert numbers(held_out.select(found.rows, text=" YE! ")) == [4]
    assert numbers(held_out.select(found.rows, sort="difference")) == [3, 1, 2, 4]
    assert numbers(held_out.select(found.rows, sort="left score")) == [1, 2, 3, 4]
    assert numbers(held_out.select(found.rows, sort="right score")) == [3, 4, 2, 1]


def test_the_file_holds_every_row_with_difference_and_flags(found):
    rows = list(csv.DictReader(io.StringIO(found.csv())))
    assert [row["outcome"] for row in rows] == ["improved", "unchanged", "worse", "unchanged"]
    assert rows[2]["difference"] == "-29.0" and rows[2]["flags"] == "loop" and rows[3]["difference"] == ""


def test_the_summary_has_counts_n_and_the_paired_interval(found):
    shown = view.summary(found)
    for words in ("1 improved", "2 unchanged", "1 worse", "+1.50", "−0.25 to +3.00", "n = 4"):
        assert words in shown


def test_a_card_marks_the_words_that_differ_and_escapes_what_models_wrote(found):
    harmful = held_out.from_report(
        json.dumps({**found.facts, "items": [item(1, 1.0, 2.0, text="<b>x</b>")]}), found.sides
    )
    shown = view.rows(harmful, harmful.rows, 0, 20)
    assert "<ins" in shown and "&lt;" in shown and "<b>x" not in shown


@pytest.mark.parametrize(
    ("left", "right", "words"),
    [("pirate/1:32", "pirate/1", "pirate/1:32 is a checkpoint"), ("pirate/1", "pirate/1:x2", "is a scaled adapter"),
     ("pirate/1", "pirate/1", "both sides are pirate/1"), ("pirate/1", "pirate/1:base", "choose a version on the")],
)  # fmt: skip
def test_what_has_no_rows_of_its_own_is_refused_at_once(left, right, words):
    with pytest.raises(UserError, match=words):
        held_out.find(left, right)
