"""Which preferences can be learned from, and what is counted of the others."""

from data.preferences import Preference, flip, length_note, rated, usable


def pair(prompt, chosen, rejected, annotator=""):
    return Preference(((prompt, chosen),), rejected=rejected, annotator=annotator)


def test_equal_answers_repetitions_and_contradictions_are_left_out_and_counted():
    rows = [
        pair("a", "x", "x"),
        pair("b", "x", "y"),
        pair("b", "x", "y"),
        pair("c", "x", "y", "one"),
        pair("c", "y", "x", "one"),
        pair("d", "x", "y", "one"),
        pair("d", "y", "x", "two"),
    ]
    kept, notes = usable(rows)
    assert [(row.prompt, row.response) for row in kept] == [("b", "x"), ("d", "x"), ("d", "y")]
    assert [note.split()[0] for note in notes] == ["1", "1", "2", "2"]
    assert "both ways" in notes[2] and "disagree" in notes[3]


def test_length_that_predicts_the_choice_is_named():
    assert list(length_note([pair(str(i), "a b", "a") for i in range(4)])) != []
    assert list(length_note([pair("1", "a b", "a"), pair("2", "a", "a b")])) == []


def test_a_higher_rate_turns_the_same_rows_round_and_more():
    rows = [pair(str(i), "x", "y") for i in range(20)]
    few, many = (flip(rows, rate, 3)[1] for rate in (0.2, 0.5))
    assert (sum(few), sum(many)) == (4, 10) and all(b for a, b in zip(few, many, strict=True) if a)
    assert flip(rows, 1.0, 3)[0] == [row.flipped for row in rows]


def test_pairs_are_taken_apart_into_good_and_bad_answers_once():
    found = rated([pair("a", "x", "y"), pair("a", "x", "z")])
    assert [(row.response, row.good) for row in found] == [("x", True), ("y", False), ("z", False)]
