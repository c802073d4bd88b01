"""Labelled texts are read as they lie there, and rows that are none are named."""

import gzip
import hashlib
import json
from collections import Counter

import pytest

from data import corruption
from data.errors import DataError
from data.formats import hub, reviews
from data.formats.records import Record


@pytest.fixture
def file(tmp_path):
    def write(records, name="mine.jsonl"):
        raw = "".join(json.dumps(record) + "\n" for record in records).encode()
        (tmp_path / name).write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
        return tmp_path / name

    return write


def record(i, label, **more):
    return {"text": f"text {i}", "label": label, **more}


@pytest.mark.parametrize("name", ["train.jsonl", "test.jsonl"])
def test_the_bundled_files_are_those_of_the_card(name):
    raw = (reviews.FOLDER / name).read_bytes()
    assert (raw.count(b"\n"), hashlib.sha256(raw).hexdigest()) == reviews.card_table()[name]


def test_the_bundled_rows_are_balanced_rated_and_enough():
    train, test = reviews.bundled()
    assert len(train) >= 3000 and len(test) >= 1000
    for rows in (train, test):
        counts = Counter(row.label for row in rows)
        assert counts[0] == counts[1]
        assert {(row.label, row.rating) for row in rows} == {(int(r > 5), r) for r in (1, 2, 3, 4, 7, 8, 9, 10)}
        assert 0.4 < sum(row.label for row in rows[:500]) / 500 < 0.6
    assert train[6].id == "train-7" and train[6].where == "train.jsonl row 7" and train[6].position == 6


def test_files_like_imdb_are_read_in_their_order(file):
    rows = [
        {
            "id": i % 20,
            "label": int(i >= 20),
            "rating": 2 if i < 20 else 9,
            "repo_split": "train",
            "text": f"t{i} <br />",
        }
        for i in range(40)
    ]
    path = file(rows, "imdb_train.jsonl.gz")
    read, labels = reviews.read(path)
    assert labels == ("negative", "positive")
    assert [(r.text, r.label, r.rating) for r in read] == [(r["text"], r["label"], r["rating"]) for r in rows]
    assert [r.id for r in read][:2] == ["imdb_train-1", "imdb_train-2"] and len({r.id for r in read}) == 40
    assert list(reviews.stream(path, [])) == read


def test_the_stream_of_a_packed_file_can_be_corrupted_on_the_way(file):
    path = file([record(i, int(i >= 100)) for i in range(200)], "x.jsonl.gz")
    read, _ = reviews.read(path)
    taught = [row.label for row, _ in corruption.stream(reviews.stream(path, []), corruption.Noise())]
    assert taught == [row.label for row in corruption.corrupt(read, corruption.Noise()).rows]


@pytest.mark.parametrize(
    ("words", "labels"),
    [
        ((0, 1), ("negative", "positive")),
        (("neg", "pos"), ("negative", "positive")),
        (("Negative ", "POSITIVE"), ("negative", "positive")),
        (("0", "positive"), ("negative", "positive")),
        (("ham", "spam"), ("ham", "spam")),
        ((1, 2), ("1", "2")),
        (("negative", "neutral"), ("negative", "neutral")),
    ],
)
def test_two_words_of_any_kind_are_labels(file, words, labels):
    rows, names = reviews.read(file([record(i, words[i % 2]) for i in range(12)]))
    assert names == labels
    assert [row.label for row in rows] == [0, 1] * 6


def test_a_table_is_read_too(tmp_path):
    (tmp_path / "mine.csv").write_text('text,label,rating\n"good, really",positive,8\nbad,negative,\n')
    rows, _ = reviews.read(tmp_path / "mine.csv")
    assert [(row.text, row.label, row.rating) for row in rows] == [("good, really", 1, 8), ("bad", 0, None)]


GOOD = [record(i, i % 2) for i in range(40)]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (record(9, "maybe"), "row 41: its label 'maybe' is neither"),
        (record(9, -1), "row 41: its label '-1' is neither"),
        (record(9, 0.5), "row 41: its label is the number 0.5; expected 0, 1 or a word"),
        (record(9, True), "row 41: its label is the truth value True"),
        (record(9, None), "row 41: its label is null"),
        (record(9, " "), "row 41: its label is blank"),
        (record(9, ["pos"]), "row 41: its label is a list"),
        ({"text": "  ", "label": 1}, "row 41: its text is blank"),
        ({"text": 7, "label": 1}, "row 41: its text is the number 7, not text"),
        ({"text": "a\0b", "label": 1}, "NUL"),
        ({"text": "\ud800", "label": 1}, "half a character"),
        (record(9, 1, rating=11), "row 41: its rating is the number 11; expected a whole number from 1 to 10"),
        (record(9, 1, rating="good"), "its rating is 'good'"),
        ({"review": "x", "sentiment": 1}, 'rename "review" to "text" and "sentiment" to "label"?'),
        (["x", 1], "it is a list, not an object"),
    ],
)
def test_a_row_that_is_none_is_named_with_its_place(file, bad, said):
    with pytest.raises(DataError) as caught:
        reviews.read(file([*GOOD, bad]))
    assert len(caught.value.problems) == 1 and said in caught.value.problems[0], caught.value.problems
    problems = []
    assert len(list(reviews.stream(file([*GOOD, bad]), problems))) == 40 and len(problems) == 1


def test_a_file_of_one_class_is_refused(file):
    with pytest.raises(DataError, match="mine.jsonl: all 30 rows have the label positive; two classes are needed"):
        reviews.read(file([record(i, "pos" if i % 2 else 1) for i in range(30)]))


def test_a_file_labelled_1_and_2_has_no_sentiments(file):
    rows, names = reviews.read(file([record(i, 1 if i < 37 else 2) for i in range(40)]))
    assert names == ("1", "2") and sum(row.label for row in rows) == 3


def test_a_file_of_many_classes_is_refused_in_one_line(file):
    with pytest.raises(DataError, match="it has 5 different labels .*exactly two are needed") as caught:
        reviews.read(file([record(i, f"class {i % 5}") for i in range(30)]))
    assert len(caught.value.problems) == 1
    with pytest.raises(DataError, match="5 different labels .1, 2, 3, 4, 5."):
        reviews.read(file([record(i, 1 + i % 5) for i in range(30)]))


def test_a_header_without_the_columns_is_refused_with_a_hint(tmp_path):
    (tmp_path / "mine.csv").write_text("review,sentiment\ngood,positive\n")
    with pytest.raises(DataError, match='columns are review, sentiment; expected text and label .rename "review"'):
        reviews.read(tmp_path / "mine.csv")
    (tmp_path / "mine.csv").write_text("text,label,text\na,1,b\n")
    with pytest.raises(DataError, match="names text twice"):
        reviews.read(tmp_path / "mine.csv")


def test_imdb_comes_from_the_hub_under_its_name(monkeypatch):
    asked = []

    def records(place):
        asked.append(place)
        return [Record(f"imdb row {i + 1}", record(i, i % 2)) for i in range(10)]

    monkeypatch.setattr(hub, "records", records)
    rows = reviews.from_hub("train")
    assert asked == ["stanfordnlp/imdb:train"]
    assert rows[0].id == "train-1" and [row.label for row in rows] == [0, 1] * 5
