"""What is held out depends on the rows' content alone, and nothing held out is ever trained on."""

from random import Random

import pytest

from data import pirate
from data.conversation import Row
from data.errors import ConfigError, DataError
from data.splits import normalised, overlap, split, validation_and_test


def rows(n, answers=1):
    return [Row(((f"Prompt {i}", f"answer {k}"),), where=f"row {i}.{k}") for i in range(n) for k in range(answers)]


def texts(part):
    return {row.turns for row in part}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Hi, Tom!", "hi   tom"),
        ("It's well-known.", "Its well known"),
        ("It\u2019s", "it's"),
        ("What?\n", "what"),
        ("\uff28\uff49\uff01", "Hi."),
        ("\u00ab Stra\u00dfe \u00bb", "STRASSE"),
        ("\u4f60\u597d\u3002", "\u4f60\u597d"),
    ],
)
def test_prompts_that_differ_in_case_marks_or_spaces_are_the_same(one, other):
    assert normalised(one) == normalised(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("5 - 3", "5 * 3"),
        ("1.5", "15"),
        ("1.5", "1 5"),
        ("-5", "5"),
        ("5 + 3", "5 - 3"),
        ("?", "!"),
        ("\u0915\u093f", "\u0915\u0940"),
    ],
)
def test_prompts_that_differ_in_meaning_are_not_the_same(one, other):
    assert normalised(one) != normalised(other)


@pytest.mark.parametrize(("n", "held_out"), [(10, 4), (20, 4), (25, 5), (100, 20), (251, 50)])
def test_a_fifth_of_the_rows_is_held_out_and_never_less_than_four(n, held_out):
    train, test = split(rows(n))
    assert (len(train), len(test)) == (n - held_out, held_out)
    assert texts(train) | texts(test) == texts(rows(n))


def test_the_order_of_the_rows_does_not_matter():
    shuffled = rows(60)
    Random(1).shuffle(shuffled)
    assert [texts(part) for part in split(shuffled)] == [texts(part) for part in split(rows(60))]


def test_both_parts_keep_the_order_of_the_rows():
    given = rows(60)
    for part in split(given):
        assert [given.index(row) for row in part] == sorted(given.index(row) for row in part)


def test_another_answer_does_not_move_a_prompt():
    changed = [Row(((row.prompt, "changed"),)) for row in rows(60)]
    assert {row.prompt for row in split(changed)[1]} == {row.prompt for row in split(rows(60))[1]}


def test_a_few_more_rows_move_few_others():
    before, after = texts(split(rows(100))[1]), texts(split(rows(105))[1])
    assert len(before - after) <= 5


def test_answers_to_one_prompt_stay_on_one_side():
    train, test = split(rows(30, answers=3))
    assert not {row.prompt for row in train} & {row.prompt for row in test}
    assert len(test) == 18


def test_a_prompt_with_too_many_answers_stays_in_training():
    many = [Row((("Hello", f"answer {i}"),)) for i in range(40)]
    for extra in range(10, 15):
        train, test = split([*many, *rows(extra)])
        assert len(train) >= 40 and 4 <= len(test) <= 11


def test_the_pirate_rows_split_without_overlap():
    train, test = split(pirate.named_rows("noisy"))
    assert (len(train), len(test)) == (400, 100)
    assert overlap(train, test) == []


def test_a_conversation_and_its_continuation_stay_on_one_side():
    short = [Row(((f"Hello {i}", "Hi"),)) for i in range(20)]
    long = [Row(((f"hello {i}!", "Hey"), ("And now?", f"Now {i}"))) for i in range(20)]
    train, test = split([*short, *long])
    assert len(test) == 8
    assert overlap(train, test) == [] and overlap(test, train) == []


@pytest.mark.parametrize("few", [[], rows(1), rows(9), rows(1, answers=50), rows(3, answers=20)])
def test_too_few_rows_are_refused_with_what_to_do(few):
    with pytest.raises(DataError, match="needs at least 10 rows, or give test_dataset"):
        split(few)


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5])
def test_a_share_that_is_no_share_is_refused(share):
    with pytest.raises(ConfigError, match="test_share must be between 0 and 1"):
        split(rows(20), share)


def test_a_large_share_leaves_rows_to_train_on():
    assert [len(part) for part in split(rows(12), 0.9)] == [6, 6]


@pytest.mark.parametrize(("n", "choosing"), [(4, 1), (5, 1), (20, 5), (60, 15)])
def test_a_quarter_of_the_held_out_rows_chooses_the_checkpoint(n, choosing):
    validation, test = validation_and_test(rows(n))
    assert (len(validation), len(test)) == (choosing, n - choosing)
    assert not texts(validation) & texts(test)
    assert [texts(part) for part in validation_and_test(rows(n)[::-1])] == [texts(validation), texts(test)]


def test_a_prompt_never_chooses_and_reports():
    validation, test = validation_and_test(rows(4, answers=5))
    assert len({row.prompt for row in validation}) == 1
    assert overlap(validation, test) == []


@pytest.mark.parametrize("few", [[], rows(3), rows(1, answers=9)])
def test_too_few_held_out_rows_are_refused(few):
    with pytest.raises(DataError, match="needs at least 4 rows that don't all ask the same"):
        validation_and_test(few)


def test_a_leak_names_both_rows():
    train = [Row((("Where is my hat?", "Here."),), where="a.json row 1"), *rows(3)]
    test = [Row((("where is MY hat", "Gone."),), where="b.json row 5"), Row((("Where is my cat?", "Here."),))]
    assert overlap(train, test) == [
        "b.json row 5: its prompt 'where is MY hat' is trained on (a.json row 1), so the test would measure memory"
    ]


def test_the_beginning_of_a_trained_conversation_is_a_leak():
    train = [Row((("Hi", "Ho"), ("How?", "So")))]
    assert len(overlap(train, [Row((("Hi", "Ho"),))])) == 1
    assert overlap(train, [Row((("How?", "So"),))]) == []
