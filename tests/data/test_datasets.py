"""A data set's name gives rows for training and test that share nothing, or one clear line."""

import gzip
import json
import random
from collections import Counter

import pytest

from data import datasets
from data.duplicates import fingerprint
from data.errors import ConfigError, DataError, UserError
from data.formats import hub
from data.formats.records import Record


def record(i, label=None, text=""):
    label = i % 2 if label is None else label
    return {"text": text or f"review number {i}", "label": label, "rating": (7 + i % 4) if label else 1 + i % 4}


def write(path, records):
    raw = "".join(json.dumps(record) + "\n" for record in records).encode()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return str(path)


def question(i):
    return {"question": f"Why {i}?", "best": "So", "incorrect": "No; Nay", "category": f"c{i % 3}", "type": f"t{i % 2}"}


@pytest.fixture
def imdb(tmp_path):
    """A folder with small files laid out like IMDB's, sorted, with copies and shared texts."""
    train = [record(i, int(i >= 300)) for i in range(600)]
    test = [record(i, int(i >= 900)) for i in range(600, 1200)]
    train += [record(1, 1, "REVIEW number 500!"), record(1, 1, "review number 501")]
    test[3]["text"], test[4]["text"] = "review number 7", "Review  number 8."
    write(tmp_path / "imdb_train.jsonl.gz", train)
    write(tmp_path / "imdb_test.jsonl.gz", test)
    return tmp_path


def test_a_folder_of_imdb_gives_disjoint_rows_and_reports_what_was_taken_out(imdb):
    found = datasets.load(str(imdb))
    report = found.report
    assert (report.train_read, report.train_duplicates, report.train_exact, report.leaked) == (602, 2, 1, 2)
    assert report.train_sorted and report.test_sorted
    assert (len(found.train), len(found.test)) == (598, 600)
    assert not {fingerprint(r.text) for r in found.train} & {fingerprint(r.text) for r in found.test}
    assert "2 training rows have a text that is in the test too: taken out" in report.lines()


def test_nobody_gets_the_first_rows_of_a_sorted_file(imdb):
    found = datasets.load(str(imdb), n_train=100, n_test=60)
    assert Counter(row.label for row in found.test) == {0: 30, 1: 30}
    assert Counter(row.label for row in found.train) == {0: 50, 1: 50}
    assert {row.label for row in found.train[:15]} == {row.label for row in found.test[:15]} == {0, 1}
    ratings = Counter(row.rating for row in found.test)
    assert set(ratings) == {1, 2, 3, 4, 7, 8, 9, 10} and set(ratings.values()) <= {7, 8}


def test_the_test_is_balanced_even_where_its_file_is_not(tmp_path):
    train = write(tmp_path / "train.jsonl", [record(i) for i in range(100)])
    test = write(tmp_path / "test.jsonl", [record(i, int(i % 4 == 0)) for i in range(200, 300)])
    found = datasets.load(train, n_test=40, test_dataset=test)
    assert Counter(row.label for row in found.test) == {0: 20, 1: 20}


def test_the_same_seed_gives_the_same_rows(imdb):
    one, same, other = (datasets.load(str(imdb), seed, 50, 50) for seed in (1, 1, 2))
    assert one.digests() == same.digests()
    assert one.digests()["train_sha256"] != other.digests()["train_sha256"]
    assert one.digests()["test_sha256"] != other.digests()["test_sha256"]


def test_the_bundled_reviews_are_the_default_and_hold_nothing_to_take_out():
    found = datasets.load()
    assert (found.name, found.labels, found.report.lines()) == ("reviews", ("negative", "positive"), [])
    assert len(found.train) >= 3000 and len(found.test) >= 1000


def test_a_file_without_a_test_is_divided(tmp_path):
    found = datasets.load(write(tmp_path / "mine.jsonl", [record(i) for i in range(100)]))
    assert (len(found.train), len(found.test)) == (80, 20)
    assert Counter(row.label for row in found.test) == {0: 10, 1: 10}
    assert not {row.id for row in found.train} & {row.id for row in found.test}
    more = datasets.load(str(tmp_path / "mine.jsonl"), n_train=30, n_test=40)
    assert (len(more.train), len(more.test)) == (30, 40)


def test_a_file_of_questions_is_divided_by_category_and_type(tmp_path):
    found = datasets.load(write(tmp_path / "q.jsonl", [question(i) for i in range(60)]))
    assert found.is_questions and found.labels == ("incorrect", "best")
    assert Counter((row.category, row.kind) for row in found.test) == {
        (f"c{c}", f"t{t}"): 2 for c in range(3) for t in range(2)
    }


def test_truthfulqa_and_imdb_come_from_the_hub(monkeypatch):
    rows = {
        "stanfordnlp/imdb:train": [{"text": f"a{i}", "label": int(i > 9)} for i in range(20)],
        "stanfordnlp/imdb:test": [{"text": f"b{i}", "label": int(i > 9)} for i in range(20)],
        "truthfulqa/truthful_qa@generation:validation": [question(i) for i in range(20)],
    }
    monkeypatch.setattr(hub, "records", lambda place: [Record(f"x row {i}", v) for i, v in enumerate(rows[place], 1)])
    assert len(datasets.load("imdb", n_train=10).train) == 10
    assert len(datasets.load("truthfulqa").test) == 4


GOOD = [record(i) for i in range(100)]


@pytest.mark.parametrize(
    ("train", "test", "settings", "said"),
    [
        (GOOD, None, {"n_train": 200}, "n_train=200: there are only 80 rows; ask for fewer, or 0 for all"),
        (GOOD, None, {"n_test": 100}, "nothing would be left to train on"),
        (GOOD, GOOD[90:] + [record(i) for i in range(200, 240)], {}, "10 of 50 test rows are trained on"),
        (GOOD, GOOD, {}, "100 of 100 test rows are trained on"),
        (GOOD, [record(i, 1) for i in range(200, 230)], {}, "all 30 rows have the label positive"),
        (GOOD, [record(i) for i in range(200, 220)], {"n_test": 30}, "n_test=30: there are only 20 rows"),
        ([record(i, 0) for i in range(30)], None, {}, "all 30 rows have the label negative"),
        (GOOD[:6], None, {}, "6 rows with different texts are too few"),
        ([*GOOD, {"text": "x", "label": "perhaps"}], None, {}, "row 101: its label 'perhaps' is neither"),
        (GOOD, [question(i) for i in range(20)], {}, "its labels are incorrect and best"),
        (GOOD, [{"text": f"t{i}", "label": ("ham", "spam")[i % 2]} for i in range(20)], {}, "labels are ham and spam"),
        ([{"text": "same", "label": i % 2} for i in range(30)], None, {}, "0 rows with different texts are too few"),
        (GOOD, None, {"n_train": -1}, "n_train must be at least 0"),
    ],
)
def test_what_can_not_be_used_is_one_clear_line(tmp_path, train, test, settings, said):
    place = write(tmp_path / "train.jsonl", train)
    other = write(tmp_path / "test.jsonl", test) if test else ""
    with pytest.raises(UserError) as caught:
        datasets.load(place, test_dataset=other, **settings)
    assert said in str(caught.value) and "\n" not in str(caught.value), caught.value


def test_a_sample_of_one_class_is_refused_even_where_the_file_has_two(tmp_path):
    rows = [record(i, 0) for i in range(199)] + [record(500, 1)]
    with pytest.raises(DataError, match="rows are all negative; both classes are needed"):
        datasets.load(write(tmp_path / "x.jsonl", rows), n_train=20)


def test_a_broken_gzip_and_an_unknown_name_are_one_line(tmp_path, imdb):
    path = imdb / "imdb_test.jsonl.gz"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match="imdb_test.jsonl.gz: the gzip data is cut off"):
        datasets.load(str(imdb))
    with pytest.raises(
        DataError, match="imbd: there is no such file, and the known data sets are reviews, imdb, truth"
    ):
        datasets.load("imbd")
    with pytest.raises(ConfigError, match="dataset=reviews has test rows of its own"):
        datasets.load("reviews", test_dataset="x.csv")


def test_no_file_of_odd_values_ends_in_anything_but_a_clear_line_or_rows(tmp_path):
    rng = random.Random(3)
    odd = [None, True, 0, 1, -1, 2, 0.5, "", " ", "pos", "neg", "x", "\0", "\ud83d", [], {}, ["a"], "a" * 3000, 10**400]
    fine = 0
    for _ in range(300):
        share = rng.choice((0, 0.1))
        rows = [
            {
                key: rng.choice(odd) if rng.random() < share else good
                for key, good in record(i).items()
                if rng.random() > share / 5
            }
            for i in range(rng.choice((0, 1, 12, 40)))
        ]
        place = write(tmp_path / f"x.{rng.choice(('jsonl', 'json'))}", [*rows, *rng.sample(odd, rng.choice((0, 0, 1)))])
        try:
            found = datasets.load(place, n_train=rng.choice((0, 5)), n_test=rng.choice((0, 4)))
        except UserError as error:
            assert str(error)
        else:
            assert {row.label for row in found.train} == {row.label for row in found.test} == {0, 1}
            fine += 1
    assert 30 < fine < 270
