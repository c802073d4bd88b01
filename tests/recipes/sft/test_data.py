"""A run's rows: three lists that share nothing, from the bundled sets or from files, the same every time."""

import json

import pytest

from data import pirate
from data.errors import DataError
from data.splits import overlap
from recipes.sft.config import TuneConfig
from recipes.sft.data import load


def texts(rows):
    return [row.turns for row in rows]


@pytest.fixture
def pairs(tmp_path):
    """Writes ``n`` prompt-response pairs to a file and returns its path."""

    def write(n, name="pairs.json", first=0):
        path = tmp_path / name
        path.write_text(
            json.dumps([{"prompt": f"Prompt {i}", "response": f"Arr {i}"} for i in range(first, first + n)])
        )
        return str(path)

    return write


def assert_disjoint(rows):
    lists = (rows.train, rows.validation, rows.test)
    assert all(lists)
    for i, one in enumerate(lists):
        for other in lists[i + 1 :]:
            assert not overlap(one, other)


@pytest.mark.parametrize("name", ["clean", "tiny", "noisy"])
def test_a_bundled_set_is_trained_whole_and_tested_on_its_own_held_out_rows(name):
    rows = load(TuneConfig(dataset=name))
    assert rows.train == pirate.named_rows(name)
    assert sorted(texts(rows.validation + rows.test)) == sorted(texts(pirate.test_rows()))
    assert (len(rows.validation), len(rows.test)) == (15, 45)
    assert "own test rows" in rows.test_name
    assert_disjoint(rows)


def test_all_bundled_sets_are_reported_on_the_same_rows():
    assert len({load(TuneConfig(dataset=name)).digests()["test_digest"] for name in pirate.SETS}) == 1


def test_a_file_is_split_into_four_fifths_and_one_fifth(pairs):
    rows = load(TuneConfig(dataset=pairs(100)))
    assert (len(rows.train), len(rows.validation), len(rows.test)) == (80, 5, 15)
    assert "a fifth" in rows.test_name
    assert_disjoint(rows)


def test_the_split_does_not_depend_on_the_seed(pairs):
    path = pairs(50)
    assert load(TuneConfig(dataset=path, seed=1)) == load(TuneConfig(dataset=path, seed=2))


def test_given_test_rows_are_used_and_everything_else_is_trained(pairs):
    given = pairs(8, "test.json", first=100)
    rows = load(TuneConfig(dataset=pairs(30), test_dataset=given))
    assert (len(rows.train), len(rows.validation), len(rows.test), rows.test_name) == (30, 2, 6, given)
    assert_disjoint(rows)


def test_a_file_can_be_tested_on_the_bundled_test_rows(pairs):
    rows = load(TuneConfig(dataset=pairs(30), test_dataset="clean"))
    assert sorted(texts(rows.validation + rows.test)) == sorted(texts(pirate.test_rows()))
    assert len(rows.train) == 30 and rows.test_name == "clean"


def test_a_bundled_set_can_be_tested_on_a_file(pairs):
    given = pairs(8)
    rows = load(TuneConfig(dataset="tiny", test_dataset=given))
    assert rows.train == pirate.named_rows("tiny") and len(rows.validation + rows.test) == 8
    assert rows.test_name == given


def test_a_test_prompt_that_is_trained_on_is_refused_and_every_leak_named(pairs):
    with pytest.raises(DataError) as caught:
        load(TuneConfig(dataset=pairs(30), test_dataset=pairs(8, "test.json", first=26)))
    assert len(caught.value.problems) == 4
    assert all("test.json row" in line and "pairs.json row" in line for line in caught.value.problems)


def test_the_training_set_can_not_be_its_own_test(pairs):
    with pytest.raises(DataError, match="is trained on"):
        load(TuneConfig(dataset=pairs(30), test_dataset=pairs(30)))


@pytest.mark.parametrize("n", [1, 9])
def test_too_few_rows_for_a_test_are_refused_with_the_way_out(pairs, n):
    with pytest.raises(DataError, match="test_dataset"):
        load(TuneConfig(dataset=pairs(n)))


def test_too_few_test_rows_are_refused(pairs):
    with pytest.raises(DataError, match="3 held-out rows"):
        load(TuneConfig(dataset=pairs(30), test_dataset=pairs(3, "test.json", first=100)))


def test_the_digests_tell_every_change(pairs):
    one, other = load(TuneConfig(dataset=pairs(100))), load(TuneConfig(dataset=pairs(100, "more.json", first=1)))
    assert one.digests().keys() == {"dataset_digest", "validation_digest", "test_digest"}
    assert len(set(one.digests().values())) == 3
    assert one.digests()["dataset_digest"] != other.digests()["dataset_digest"]
    assert one.digests() == load(TuneConfig(dataset=pairs(100, "copy.json"))).digests()
