"""From the name of a data set to rows for training and for the test that share nothing."""

import os
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from data import sampling
from data.duplicates import Unique, unique
from data.errors import ConfigError, DataError
from data.formats import files, reviews, truthfulqa
from data.formats.records import Record
from data.formats.texts import is_blank
from data.labelled import ANSWERS, SENTIMENTS, Dataset, Labels, LoadReport, is_sorted
from data.near_duplicates import near_duplicates

NAMES = ("reviews", "imdb", "truthfulqa")
IMDB_FILES = ("imdb_train.jsonl.gz", "imdb_test.jsonl.gz")
TEST_SHARE = 0.2
#: More shared rows than this are no accident: somebody gave the same file twice, or a part of it.
LEAK_LIMIT = 0.02
LEAST_ROWS = 10

Rows = list[Any]  # all LabelledRow or all QuestionRow


def load(
    dataset: str = "reviews",
    seed: int = 7,
    n_train: int = 0,
    n_test: int = 0,
    test_dataset: str = "",
) -> Dataset:
    """The data set of a name, of a file, of a folder with IMDB's two files, or of one with TruthfulQA's file.

    ``dataset`` is ``reviews`` (bundled), ``imdb`` or ``truthfulqa`` (from the hub), or a file with ``text`` and
    ``label`` or with ``question``, ``best`` and ``incorrect``. Without ``test_dataset`` a file's own rows are divided:
    ``n_test`` of them, or a fifth, are held out. Copies, contradictions and training rows that are in the test are
    taken out first, then ``n_train`` and ``n_test`` rows are drawn (0 means all): the test with as many rows of each
    label, both with every stratum's share. The same seed draws the same rows. Drawn training rows whose text is nearly
    that of a drawn test row are taken out too, so that there can be fewer than ``n_train``.

    Raises:
        DataError: everything that is wrong with the rows, one line each; fewer rows than asked for; a test that is
            largely trained on.
        ConfigError: a number below 0, or a ``test_dataset`` for a set that has its own.
    """
    for flag, n in (("n_train", n_train), ("n_test", n_test)):
        if n < 0:
            raise ConfigError(f"{flag} must be at least 0 (all rows), not {n}")
    train, test, labels, unused = _read(dataset, test_dataset)
    unique_train = unique(train)
    unique_test = unique(test or [])
    report = LoadReport(
        train_read=len(train),
        test_read=len(test or []),
        train_duplicates=unique_train.copies,
        train_exact=unique_train.exact,
        test_duplicates=unique_test.copies,
        test_exact=unique_test.exact,
        train_contradictions=unique_train.contradictions,
        test_contradictions=unique_test.contradictions,
        train_sorted=is_sorted([row.label for row in train]),
        test_sorted=is_sorted([row.label for row in test or []]),
        unused_columns=unused,
    )
    if test is None:
        rows, held_out = _divided(unique_train.rows, n_test, seed, dataset)
        test_sample = held_out
    else:
        rows = _without_leaks(unique_train, unique_test, test_dataset or dataset)
        report = replace(report, leaked=len(unique_train.rows) - len(rows))
        test_sample = sampling.sample(unique_test.rows, n_test, seed, balanced=True, flag="n_test")
    train_sample = sampling.sample(rows, n_train, seed, flag="n_train")
    near = near_duplicates([row.text for row in train_sample], [row.text for row in test_sample])
    train_sample = [row for i, row in enumerate(train_sample) if i not in near]
    found = Dataset(dataset, train_sample, test_sample, labels, replace(report, near_duplicates=len(near)))
    _require_classes(found)
    return found


def _read(dataset: str, test_dataset: str) -> tuple[Rows, Rows | None, Labels, tuple[str, ...]]:
    """(training rows, test rows or None where they must be held out, label names, columns that are not used)."""
    if dataset in NAMES and test_dataset:
        raise ConfigError(f"dataset={dataset} has test rows of its own; leave test_dataset empty")
    if dataset == "reviews":
        return *reviews.bundled(), SENTIMENTS, ()
    if dataset == "imdb":
        return reviews.from_hub("train"), reviews.from_hub("test"), SENTIMENTS, ()
    if dataset == "truthfulqa":
        return truthfulqa.from_hub(), None, ANSWERS, ()
    paths = _paths(dataset, test_dataset)
    train, labels, unused = _file(paths[0])
    if len(paths) == 1:
        return train, None, labels, unused
    test, test_labels, unused_too = _file(paths[1])
    if labels != test_labels:
        raise DataError([
            f"{paths[1].name}: its labels are {' and '.join(test_labels)}, those of the training rows "
            f"{' and '.join(labels)}"
        ])  # fmt: skip
    return train, test, labels, tuple(dict.fromkeys((*unused, *unused_too)))


def _paths(dataset: str, test_dataset: str) -> list[Path]:
    folder = Path(os.path.expanduser(dataset))
    if folder.is_dir() and not test_dataset and all((folder / name).is_file() for name in IMDB_FILES):
        return [folder / name for name in IMDB_FILES]
    if folder.is_dir() and truthfulqa.is_in(folder):
        return [truthfulqa.published_file(folder), *([Path(test_dataset).expanduser()] if test_dataset else [])]
    places = [place for place in (dataset, test_dataset) if place]
    for place in places:
        if not files.is_file(place):
            raise DataError([f"{place}: there is no such file, and the known data sets are {', '.join(NAMES)}"])
    return [Path(os.path.expanduser(place)) for place in places]


def _file(path: Path) -> tuple[Rows, Labels, tuple[str, ...]]:
    """Rows, label names and columns that are not used, of one file of whichever kind."""
    found, problems = files.parse_file(path, _header_problems)
    if any(truthfulqa.has_questions(record) for record in found[:1]):
        rows, labels, used = truthfulqa.questions(found, problems, path.name), ANSWERS, truthfulqa.USED_COLUMNS
    else:
        (rows, labels), used = reviews.labelled(found, problems, path.name), reviews.USED_COLUMNS
    return rows, labels, _unused(found, used)


def _unused(found: list[Record], used: Collection[str]) -> tuple[str, ...]:
    """Columns that hold something and are not used, in the order of their first row."""
    names = (key for each in found for key, held in each.value.items() if key not in used and not is_blank(held))
    return tuple(dict.fromkeys(name for name in map(str, names) if truthfulqa.plain_name(name) not in used))


def _header_problems(header: list[str], where: str) -> list[str]:
    plain = [column.strip().lower() for column in header]
    return (truthfulqa if "question" in plain else reviews).header_problems(header, where)


def _divided(rows: Rows, n_test: int, seed: int, dataset: str) -> tuple[Rows, Rows]:
    if len(rows) < LEAST_ROWS:
        raise DataError([
            f"{dataset}: {len(rows)} rows with different texts are too few to hold some out for a test: needs at least "
            f"{LEAST_ROWS}, or give test_dataset"
        ])  # fmt: skip
    return sampling.held_out(rows, n_test or max(2, round(len(rows) * TEST_SHARE)), seed)


def _without_leaks(train: Unique, test: Unique, name: str) -> Rows:
    """The training rows whose text is not in the test.

    Raises:
        DataError: so many are that the two can't be meant as training and test.
    """
    leaks = test.shared(train)
    if len(leaks) > LEAK_LIMIT * len(test.rows):
        row, other = leaks[0]
        raise DataError([
            f"{name}: {len(leaks):,} of {len(test.rows):,} test rows are trained on (the first: {row.where} is "
            f"{other.where}), so the test would measure memory; give other test rows"
        ])  # fmt: skip
    return train.without(test)


def _require_classes(found: Dataset) -> None:
    """Refuse training or test rows that are all of one class."""
    if found.is_questions:
        return
    for which, rows in (("training", found.train), ("test", found.test)):
        present = {row.label for row in rows}
        if len(present) < 2:
            only = f"all {found.labels[present.pop()]}" if present else "none"
            raise DataError([f"{found.name}: the {len(rows):,} {which} rows are {only}; both classes are needed"])
