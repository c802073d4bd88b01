"""Samples are stratified, seeded, and never the top of a file."""

from collections import Counter

import pytest

from data.errors import ConfigError, DataError
from data.labelled import LabelledRow
from data.sampling import held_out, proportional, sample, shuffled

ROWS = [
    LabelledRow(f"text {i}", int(i >= 600), f"r-{i}", i, rating=(8 + i % 3) if i >= 600 else 1 + i % 4)
    for i in range(1000)
]


def ids(rows):
    return [row.id for row in rows]


def test_a_sample_keeps_the_share_of_every_label_and_rating():
    drawn = sample(ROWS, 200, seed=1)
    assert Counter(row.label for row in drawn) == {0: 120, 1: 80}
    assert Counter(row.rating for row in drawn if not row.label) == {1: 30, 2: 30, 3: 30, 4: 30}
    assert sorted(Counter(row.rating for row in drawn if row.label).values()) == [26, 27, 27]


def test_a_balanced_sample_has_as_many_rows_of_each_label():
    assert Counter(row.label for row in sample(ROWS, 200, 1, balanced=True)) == {0: 100, 1: 100}
    assert sorted(Counter(row.label for row in sample(ROWS, 7, 1, balanced=True)).values()) == [3, 4]


def test_zero_means_all_in_a_mixed_order():
    drawn = sample(ROWS, 0, seed=1)
    assert sorted(ids(drawn)) == sorted(ids(ROWS))
    assert 100 < sum(row.label for row in drawn[:400]) < 220


def test_a_sample_of_a_sorted_file_is_not_its_top():
    assert len(set(ids(sample(ROWS, 100, 1))) & set(ids(ROWS[:100]))) < 30
    assert {row.label for row in sample(ROWS, 20, 1)[:12]} == {0, 1}


def test_the_same_seed_draws_the_same_rows_from_any_order_and_another_seed_others():
    assert ids(sample(ROWS, 50, 5)) == ids(sample(ROWS[::-1], 50, 5))
    assert ids(sample(ROWS, 50, 5)) != ids(sample(ROWS, 50, 6))
    assert ids(shuffled(ROWS, 5)) == ids(shuffled(ROWS[::-1], 5))


def test_a_smaller_sample_is_part_of_a_larger_one():
    assert set(ids(sample(ROWS, 100, 5))) <= set(ids(sample(ROWS, 400, 5)))


def test_held_out_rows_and_the_others_are_all_rows_and_share_none():
    train, test = held_out(ROWS, 250, 3)
    assert len(test) == 250 and not set(ids(train)) & set(ids(test))
    assert sorted(ids(train + test)) == sorted(ids(ROWS))
    assert Counter(row.label for row in test) == {0: 150, 1: 100}


@pytest.mark.parametrize("n", range(0, 60, 7))
def test_shares_add_up_and_are_within_one_of_exact(n):
    sizes = {("a",): 31, ("b",): 17, ("c",): 9, ("d",): 3}
    wanted = proportional(sizes, n)
    assert sum(wanted.values()) == n
    assert all(abs(wanted[key] - n * size / 60) < 1 for key, size in sizes.items())


def test_fewer_rows_than_asked_for_is_said_with_the_flag():
    with pytest.raises(DataError, match="n_train=1,001: there are only 1,000 rows; ask for fewer, or 0 for all"):
        sample(ROWS, 1001, 1, flag="n_train")
    with pytest.raises(DataError, match="n_test=900: a balanced sample needs 450 .* label 1 has 400; ask for 800 or"):
        sample(ROWS, 900, 1, balanced=True, flag="n_test")
    with pytest.raises(ConfigError, match="n_test must be at least 0"):
        sample(ROWS, -1, 1, flag="n_test")
    with pytest.raises(DataError, match="n_test=1,000: of 1,000 rows nothing would be left"):
        held_out(ROWS, 1000, 1)
