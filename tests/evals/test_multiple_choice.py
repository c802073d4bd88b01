"""MC1 asks for the likeliest answer, MC2 for the share of the true ones; both by hand."""

from dataclasses import replace
from math import inf, log, nan

import pytest

from data.labelled import QuestionRow
from evals.intervals import wilson
from evals.multiple_choice import evaluate_choices, mc1, mc2

ROW = QuestionRow(
    text="What do sailors call a rope?", best="A line", correct=("A line", "A sheet"),
    incorrect=("A string", "A worm"), id="q-1", position=0,
)  # fmt: skip


def logs(**shares):
    return {name.replace("_", " "): log(share) for name, share in shares.items()}


def test_mc1_is_right_where_the_best_answer_beats_every_incorrect_one():
    assert mc1(ROW.mc1, logs(A_line=0.4, A_string=0.3, A_worm=0.3))
    assert not mc1(ROW.mc1, logs(A_line=0.3, A_string=0.4, A_worm=0.3))
    assert not mc1(ROW.mc1, logs(A_line=0.4, A_string=0.4, A_worm=0.2)), "a tie is no preference"


def test_mc2_is_the_normalised_share_of_the_true_answers():
    found = mc2(ROW.mc2, logs(A_line=0.1, A_sheet=0.2, A_string=0.05, A_worm=0.05))
    assert found == pytest.approx(0.75)


def test_mc2_holds_for_probabilities_too_small_to_be_numbers():
    shifted = {text: value - 5000 for text, value in logs(A_line=0.1, A_sheet=0.2, A_string=0.05, A_worm=0.05).items()}
    assert mc2(ROW.mc2, shifted) == pytest.approx(0.75)


def test_impossible_choices_count_as_nothing_and_all_impossible_is_undefined():
    some = {"A line": -1.0, "A sheet": -inf, "A string": -inf, "A worm": -inf}
    assert mc2(ROW.mc2, some) == 1.0 and mc1(ROW.mc1, some)
    assert mc2(ROW.mc2, dict.fromkeys(some, -inf)) is None and not mc1(ROW.mc1, dict.fromkeys(some, -inf))


def test_a_question_that_could_not_be_asked_is_wrong_in_mc1_and_left_out_of_mc2():
    good = logs(A_line=0.4, A_sheet=0.2, A_string=0.2, A_worm=0.2)
    report = evaluate_choices([ROW, replace(ROW, id="q-2")], [good, None])
    assert (report.n, report.scored, report.mc1, report.mc1_interval) == (2, 1, 0.5, wilson(1, 2))
    assert report.mc2 == pytest.approx(0.6)


def test_no_questions_are_undefined_not_zero():
    report = evaluate_choices([], [])
    assert (report.mc1, report.mc1_interval, report.mc2) == (None, None, None)
    assert evaluate_choices([ROW], [None]).mc2 is None


@pytest.mark.parametrize(
    ("found", "message"),
    [({"A line": -1.0}, "no log-probability for the choice 'A string'"), ({"A line": nan}, "nan"),
     ({"A line": 0.5}, "0.5")],
)  # fmt: skip
def test_missing_and_impossible_figures_are_refused(found, message):
    with pytest.raises(ValueError, match=message):
        evaluate_choices([ROW], [found])
    with pytest.raises(ValueError, match="1 questions but 0 answers"):
        evaluate_choices([ROW], [])
