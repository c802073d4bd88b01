"""Texts of two classes: the bundled film reviews, IMDB, and files of one's own with ``text`` and ``label``."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from data.errors import DataError
from data.formats import files, hub, jsonl
from data.formats.records import Record
from data.formats.texts import kind_of, line_ends, text_problem
from data.labelled import SENTIMENTS, LabelledRow, Labels

FOLDER = Path(__file__).parent.parent / "sets" / "reviews"
TRAIN_FILE, TEST_FILE = "train.jsonl", "test.jsonl"
HUB_NAME = "stanfordnlp/imdb"
#: The words that mean 0 or 1, as files spell them.
SENTIMENT_WORDS = {"0": 0, "neg": 0, "negative": 0, "1": 1, "pos": 1, "positive": 1}
OTHER_NAMES = {
    "text": ("review", "sentence", "comment", "content", "body", "tweet", "message", "document"),
    "label": ("sentiment", "class", "target", "polarity", "y", "category", "answer"),
}
CARD_ROW = re.compile(r"^\| (\S+\.jsonl) \| (\d+) \| ([0-9a-f]{64}) \|$", re.MULTILINE)
USED_COLUMNS = ("text", "label", "rating", "category")
#: Where at least this share of rows has one of two labels, other labels are mistakes and not further classes.
CLEAR_SHARE = 0.9

Word = tuple[LabelledRow, str]


def bundled() -> tuple[list[LabelledRow], list[LabelledRow]]:
    """(training rows, test rows) of the bundled film reviews, in file order."""
    train, _ = read(FOLDER / TRAIN_FILE)
    test, _ = read(FOLDER / TEST_FILE)
    return train, test


def card_table() -> dict[str, tuple[int, str]]:
    """(rows, SHA-256 in hex) of each bundled file, as the card says."""
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    return {file: (int(rows), sha256) for file, rows, sha256 in CARD_ROW.findall(card)}


def from_hub(split: str) -> list[LabelledRow]:
    """One split of IMDB on the Hugging Face hub, or from its cache. It has no ratings.

    Raises:
        DataError: the hub can't be reached, or the rows are not as expected.
    """
    rows, _ = labelled(hub.records(f"{HUB_NAME}:{split}"), [], split)
    return rows


def read(path: Path) -> tuple[list[LabelledRow], Labels]:
    """(the rows of a file in its order, the names of the labels 0 and 1).

    A row has ``text`` and ``label``, and may have ``rating`` (1 to 10) and ``category``. Labels are 0 and 1, or any
    two words: neg, negative, pos and positive mean 0 and 1, other words come in alphabetical order. A row's id is the
    file's name up to its first dot and the number of the row: ``imdb_train-17``.

    Raises:
        DataError: with one problem for each thing that is wrong, anywhere in the file.
    """
    found, problems = files.parse_file(path, header_problems)
    return labelled(found, problems, path.name)


def stream(path: Path, problems: list[str]) -> Iterator[LabelledRow]:
    """The rows of a JSONL file one at a time, for files that don't fit into memory; labels are 0 and 1, or sentiments.

    What is wrong with a row is added to ``problems``, and the row is left out.
    """
    name = _stem(path.name)
    for position, record in enumerate(jsonl.stream(path, problems)):
        row, word, faults = _row(record, name, position)
        if row is not None and word not in SENTIMENT_WORDS:
            faults = [f"its label {word!r} is neither negative (0) nor positive (1)"]
        if row is None or faults:
            problems += [f"{record.where}: {problem}" for problem in faults]
        else:
            yield row


def labelled(found: Sequence[Record], problems: list[str], name: str) -> tuple[list[LabelledRow], Labels]:
    """Rows and label names of unchecked records; ``name`` is that of their file.

    Raises:
        DataError: ``problems``, and everything that is wrong with the records.
    """
    read, problems = [], list(problems)
    for position, record in enumerate(found):
        row, word, faults = _row(record, _stem(name), position)
        problems += [f"{record.where}: {problem}" for problem in faults]
        if row is not None:
            read.append((row, word))
    if not found and not problems:
        problems.append(f"{name}: there are no rows in it")
    if problems:
        raise DataError(problems)
    names, values = _label_names(read, name)
    return [_relabelled(row, values[word]) for row, word in read], names


def header_problems(header: list[str], where: str) -> list[str]:
    """What keeps the first line of a table from naming the columns that are needed."""
    twice = sorted({column for column in header if header.count(column) > 1})
    if twice:
        return [f"{where}: the header names {' and '.join(twice)} twice"]
    problem = key_problem(header)
    return [f"{where}: the first line must be a header; {problem}"] if problem else []


def key_problem(keys: list[str]) -> str:
    """What is wrong with the names of a record's values, and which ones were probably meant; empty where nothing is."""
    missing = [want for want in ("text", "label") if want not in keys]
    if not missing:
        return ""
    plain = {key.strip().lower(): key for key in keys if key not in ("text", "label")}
    hints = []
    for want in missing:
        have = next((name for name in (want, *OTHER_NAMES[want]) if name in plain), None)
        have = have or next(iter(get_close_matches(want, plain, n=1, cutoff=0.75)), None)
        if have:
            hints.append(f'"{plain.pop(have)}" to "{want}"')
    found = f"its columns are {', '.join(keys)}" if keys else "it has no columns"
    return f"{found}; expected text and label" + (f" (rename {' and '.join(hints)}?)" if hints else "")


def _stem(name: str) -> str:
    return name.partition(".")[0]


def _relabelled(row: LabelledRow, label: int) -> LabelledRow:
    return row if row.label == label else row.relabelled(label)


def _row(record: Record, stem: str, position: int) -> tuple[LabelledRow | None, str, list[str]]:
    """(the row, its label as a word, what is wrong); there is no row where something is wrong.

    The row has the label that the word means as a sentiment, else 0.
    """
    value = record.value
    if not isinstance(value, dict):
        return None, "", [f"it is {kind_of(value)}, not an object; expected text and label"]
    if "text" not in value or "label" not in value:
        return None, "", [key_problem([str(key) for key in value])]
    text, word = value["text"], _word(value["label"])
    problem = text_problem("its text", text)
    faults = [problem] if problem else []
    if not word:
        faults.append(f"its label is {_shown(value['label'])}; expected 0, 1 or a word")
    rating = value.get("rating")
    if rating not in (None, ""):
        rating = _rating(rating)
        if rating is None:
            faults.append(f"its rating is {_shown(value['rating'])}; expected a whole number from 1 to 10")
    if faults:
        return None, word, faults
    category = value.get("category")
    category = str(category) if category else None
    label, ident = SENTIMENT_WORDS.get(word, 0), f"{stem}-{position + 1}"
    return LabelledRow(line_ends(text), label, ident, position, record.where, rating or None, category), word, []


def _word(label: Any) -> str:
    """The label as a word in lower case; empty where it can be none."""
    if isinstance(label, str):
        return unicodedata.normalize("NFC", label.strip().casefold())
    return str(label) if isinstance(label, int) and not isinstance(label, bool) else ""


def _rating(rating: Any) -> int | None:
    try:
        number = int(rating) if isinstance(rating, (int, str)) and not isinstance(rating, bool) else 0
    except ValueError:
        return None
    return number if 1 <= number <= 10 else None


def _shown(value: Any) -> str:
    return (repr(value)[:40] if value.strip() else "blank") if isinstance(value, str) else kind_of(value)


def _label_names(read: list[Word], name: str) -> tuple[Labels, dict[str, int]]:
    """(the names of the labels 0 and 1, which of them each word means).

    Raises:
        DataError: there are not two classes.
    """
    sentiments = sum(word in SENTIMENT_WORDS for _, word in read)
    # In a file labelled 1 and 2 the 1 is no sentiment: all words are, or none is.
    meaning = {word: SENTIMENTS[i] for word, i in SENTIMENT_WORDS.items()} if sentiments > len(read) / 2 else {}
    if len({meaning.get(word, word) for _, word in read}) == 2 and sentiments < len(read):
        meaning = {}
    counts = Counter(meaning.get(word, word) for _, word in read)
    if len(counts) > 2:
        raise DataError(_strange_labels(read, meaning, counts, name))
    if len(counts) == 1:
        raise DataError([f"{name}: all {len(read):,} rows have the label {next(iter(counts))}; two classes are needed"])
    first, second = sorted(counts)
    return (first, second), {word: int(meaning.get(word, word) == second) for _, word in read}


def _strange_labels(read: list[Word], meaning: dict[str, str], counts: Counter[str], name: str) -> list[str]:
    """One problem for each row whose label is neither of two clear ones, or one for a file of more classes."""
    common = [word for word, _ in counts.most_common(2)]
    if sum(counts[word] for word in common) < CLEAR_SHARE * len(read):
        shown = ", ".join(word[:30] for word, _ in counts.most_common(6)) + (", ..." if len(counts) > 6 else "")
        return [f"{name}: it has {len(counts):,} different labels ({shown}); exactly two are needed"]
    return [
        f"{row.where}: its label {word[:40]!r} is neither {common[0]} nor {common[1]}"
        for row, word in read
        if meaning.get(word, word) not in common
    ]
