"""Rows keep text and label together, and equal rows have equal digests."""

from dataclasses import FrozenInstanceError

import pytest

from data.labelled import Dataset, LabelledRow, LoadReport, QuestionRow, is_sorted, label_counts, sha256_of

ROW = LabelledRow("a film", 1, "r-1", 0, "r row 1", 8, "drama")
QUESTION = QuestionRow("why?", "so", ("so", "thus"), ("no", "nay"), "q-1", 0, category="Logic", kind="Adversarial")


def test_a_relabelled_row_differs_in_its_label_alone():
    other = ROW.relabelled(0)
    assert (other.label, other.answer(("negative", "positive"))) == (0, "negative")
    assert (other.text, other.id, other.position, other.where, other.rating, other.category) == (
        ROW.text, ROW.id, ROW.position, ROW.where, ROW.rating, ROW.category
    )  # fmt: skip


def test_the_label_of_a_row_can_not_be_changed_in_place():
    with pytest.raises(FrozenInstanceError):
        ROW.label = 0  # type: ignore[misc]


def test_the_choices_of_a_question_are_those_of_mc1_and_mc2():
    assert QUESTION.mc1 == (("so", True), ("no", False), ("nay", False))
    assert QUESTION.mc2 == (("so", True), ("thus", True), ("no", False), ("nay", False))


@pytest.mark.parametrize(
    "other",
    [
        [ROW.relabelled(0)],
        [ROW, ROW],
        [LabelledRow("another film", 1, "r-1", 0)],
        [QUESTION],
        [QUESTION.relabelled(0, "no")],
        [],
    ],
)
def test_other_rows_have_another_digest(other):
    assert sha256_of(other) != sha256_of([ROW])


def test_equal_rows_have_equal_digests_wherever_they_were_read():
    assert sha256_of([ROW]) == sha256_of([LabelledRow("a film", 1, "r-1", 0, "elsewhere")])
    assert len(sha256_of([ROW])) == 64


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([0] * 5 + [1] * 5, True),
        ([1] * 9 + [0], True),
        ([0, 1] * 5, False),
        ([0] * 20, False),
        ([0, 1, 1], False),
        ([], False),
    ],
)
def test_sorted_labels_are_noticed(labels, expected):
    assert is_sorted(labels) == expected


def test_labels_are_counted_in_order():
    assert label_counts([ROW, ROW.relabelled(0), ROW]) == (1, 2)


def test_a_report_says_what_was_out_of_the_ordinary_and_nothing_else():
    assert LoadReport(10, 10).lines() == []
    assert LoadReport(25000, 25000, train_duplicates=98, train_exact=96, leaked=123, test_sorted=True).lines() == [
        "98 training rows repeat another one's text (96 to the letter): taken out",
        "123 training rows have a text that is in the test too: taken out",
        "the test file is sorted by label: rows are drawn from all of it, never from its top",
    ]


def test_a_data_set_has_a_digest_for_each_list():
    found = Dataset("mine", [ROW], [QUESTION], ("no", "yes"))  # type: ignore[list-item]
    assert found.digests() == {"train_sha256": sha256_of([ROW]), "test_sha256": sha256_of([QUESTION])}
    assert not found.is_questions
