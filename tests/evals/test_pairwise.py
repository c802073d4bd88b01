"""A judge's replies in both orders become a preference, a tie or a sign of position bias."""

import pytest

from evals.pairwise import Judgement, compare, letter_of, prompts


@pytest.mark.parametrize(
    ("straight", "reversed", "value", "position", "changes"),
    [
        ("B", "A", 1.0, 0, False),  # the tuned model's answer, wherever it stands
        ("A", "B", 0.0, 0, False),
        ("C", "C", 0.5, 0, False),
        ("A", "A", 0.5, 1, True),  # the answer that comes first, whichever it is
        ("B", "B", 0.5, -1, True),
        ("B", "C", 1.0, -1, True),
        ("C", "B", 0.0, -1, True),
    ],
)
def test_both_orders_together_are_one_outcome(straight, reversed, value, position, changes):
    found = Judgement(straight, reversed)
    assert (found.value, found.position, found.changes) == (value, position, changes)


def test_a_reply_is_read_by_the_first_letter_that_stands_alone():
    assert [letter_of(text) for text in ("B", "Answer: A.", "**C**", "Both are bad", "")] == ["B", "A", "C", "", ""]


def test_each_answer_comes_first_once():
    first, second = prompts("Hi", "left text", "right text")
    assert first.index("left text") < first.index("right text")
    assert second.index("right text") < second.index("left text")


def test_win_rate_and_position_bias_have_intervals_and_unreadable_replies_are_counted():
    judged = [Judgement("B", "A")] * 12 + [Judgement("A", "B")] * 4 + [Judgement("A", "A")] * 8 + [Judgement("", "A")]
    found = compare(judged)
    assert (found.n, found.invalid, found.won, found.lost, found.tied, found.changed) == (24, 1, 12, 4, 8, 8)
    value, low, high = found.win_rate
    assert value == pytest.approx((12 + 8 / 2) / 24) and 0.5 < low < value < high < 0.9
    assert found.position_bias.change == pytest.approx(8 / 24) and found.position_bias.is_increase


def test_a_judge_that_always_takes_the_first_answer_prefers_neither_model():
    found = compare([Judgement("A", "A")] * 30)
    assert found.win_rate[0] == 0.5 and found.position_bias.change == 1.0 and found.changed == 30


def test_without_a_readable_reply_there_is_no_result():
    assert compare([Judgement("", "A")]) is None
