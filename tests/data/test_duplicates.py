"""Texts that occur twice are found, whatever their case and spaces, and different texts are not confused."""

import pytest

from data.duplicates import fingerprint, unique
from data.labelled import LabelledRow


def rows(*pairs):
    return [LabelledRow(text, label, f"r-{i}", i) for i, (text, label) in enumerate(pairs)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("A great film.", "a  GREAT film!"),
        ("One.<br /><br />Two", "one. two"),
        ("It\u2019s \u201cgood\u201d", 'It\'s "good"'),
        ("caf\u00e9", "CAFE\u0301"),
        ("a\u00a0b", "a b"),
    ],
)
def test_equal_texts_have_equal_fingerprints(one, other):
    assert fingerprint(one) == fingerprint(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("fine :)", "fine :("), ("not bad", "bad"), ("!!!", "..."), ("1 < 2", "1 > 2"), ("\u4e00", "\u4e8c")],
)
def test_different_texts_have_different_fingerprints(one, other):
    assert fingerprint(one) != fingerprint(other)


def test_the_first_of_equal_texts_is_kept_and_copies_are_counted():
    found = unique(rows(("a b", 0), ("c", 1), ("A b!", 0), ("a b", 0), ("d", 1)))
    assert [row.id for row in found.rows] == ["r-0", "r-1", "r-4"]
    assert (found.copies, found.exact, found.contradictions) == (2, 1, 0)


def test_a_text_with_both_labels_goes_altogether():
    found = unique(rows(("a", 0), ("b", 1), ("A", 1), ("a", 0)))
    assert [row.id for row in found.rows] == ["r-1"]
    assert (found.copies, found.contradictions) == (0, 3)


def test_shared_texts_are_found_and_taken_out():
    train, test = unique(rows(("a", 0), ("b", 1), ("c", 0))), unique(rows(("B", 1), ("d", 0)))
    assert [(one.text, other.text) for one, other in test.shared(train)] == [("B", "b")]
    assert [row.text for row in train.without(test)] == ["a", "c"]
