"""Which rows are trained on, which choose the checkpoint and which are reported: decided by their prompts alone."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence

from data.conversation import Row
from data.errors import ConfigError, DataError

LEAST_TEST = 4  # one row to choose the checkpoint by and three to report: below that no share of rows means anything
LEAST_TRAIN = 6
LEAST_ROWS = LEAST_TRAIN + LEAST_TEST
VALIDATION_SHARE = 0.25

KEPT_MARKS = frozenset("*/%#@&\\")  # punctuation to Unicode, but operators and names to whoever wrote the prompt
Key = tuple[str, ...]


def normalised(text: str) -> str:
    """``text`` in lower case with punctuation and whitespace folded, so that "Hi, Tom!" and "hi tom" are equal.

    A point, comma, colon or minus before a number stays: 1.5 is not 15, and 5 - 3 is not 5, 3. A text of nothing but
    punctuation is kept as it is.
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    plain = re.sub("['\u2019]", "", plain)
    plain = re.sub(r"[.,:](?!\d)|-(?!\s*\d)", " ", plain)
    folded = "".join(" " if _is_mark(ch) else ch for ch in plain)
    return " ".join(folded.split()) or " ".join(text.split())


def _is_mark(ch: str) -> bool:
    return ch not in KEPT_MARKS and ch not in ".,:-" and unicodedata.category(ch).startswith("P")


def prompts_key(row: Row) -> Key:
    """The normalised prompts of a row, oldest first: what it asks, whatever is answered."""
    return tuple(normalised(prompt) for prompt, _ in row.turns)


def split(rows: Sequence[Row], test_share: float = 0.2) -> tuple[list[Row], list[Row]]:
    """(training rows, test rows), both in the order of ``rows``: about ``test_share`` of them are held out, at least 4.

    Rows that ask the same stay together. The groups' SHA-256 decides, not a seed and not the order, so two runs over
    the same rows hold out the same ones, and a few more rows move few others.

    Raises:
        DataError: fewer than 10 rows, or too few different prompts among them to hold out 4.
        ConfigError: ``test_share`` is not between 0 and 1.
    """
    if not 0 < test_share < 1:
        raise ConfigError(f"test_share must be between 0 and 1, not {test_share}")
    most = len(rows) - LEAST_TRAIN
    chosen = _choose(rows, min(max(LEAST_TEST, round(len(rows) * test_share)), most))
    if len(rows) < LEAST_ROWS or len(chosen) < LEAST_TEST:
        prompts = len(set(_groups(rows)))
        raise DataError(
            [
                f"{len(rows)} rows with {prompts} different prompts are too few to hold out {LEAST_TEST} for the test: "
                f"needs at least {LEAST_ROWS} rows, or give test_dataset"
            ]
        )
    test, train = _parted(rows, chosen)
    return train, test


def validation_and_test(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Divide held-out rows into (those that choose the checkpoint, those that are reported): a quarter, at least one,
    and the rest, chosen by content like ``split``.

    The best of many checkpoints is partly best by chance on the rows that chose it. A score on those same rows would
    be biased upwards, so rows that choose are never rows that are reported.

    Raises:
        DataError: fewer than 4 rows, or all with the same prompt.
    """
    groups = _groups(rows)
    if len(rows) < LEAST_TEST or len(set(groups)) < 2:
        raise DataError(
            [
                f"{len(rows)} held-out rows with {len(set(groups))} prompts are too few to choose a checkpoint "
                f"and to test it: needs at least {LEAST_TEST} rows that don't all ask the same"
            ]
        )
    chosen = _choose(rows, max(1, round(len(rows) * VALIDATION_SHARE)))
    if not chosen:  # every prompt has more rows than were wanted
        chosen = _choose(rows, min(groups.count(group) for group in set(groups)))
    return _parted(rows, chosen)


def overlap(train: Iterable[Row], test: Iterable[Row]) -> list[str]:
    """One problem for each test row whose prompt is trained on, compared in normalised form.

    A test conversation also leaks where it is the beginning of a longer one in training.
    """
    trained: dict[Key, str] = {}
    for row in train:
        key = prompts_key(row)
        for end in range(1, len(key) + 1):
            trained.setdefault(key[:end], row.where)
    return [
        f"{row.where}: its prompt {row.prompt[:60]!r} is trained on ({trained[key]}), so the test would measure memory"
        for row in test
        if (key := prompts_key(row)) in trained
    ]


def _groups(rows: Sequence[Row]) -> list[Key]:
    """The group of each row: its prompts, cut to the shortest beginning that is a row of its own.

    So a conversation and its own continuation, of which one would give the other away, are of one group.
    """
    keys = [prompts_key(row) for row in rows]
    known = set(keys)
    return [next(key[:end] for end in range(1, len(key) + 1) if key[:end] in known) for key in keys]


def _choose(rows: Sequence[Row], wanted: int) -> set[int]:
    """Numbers of at most ``wanted`` rows: whole groups in the order of their hashes, skipping those too big to fit."""
    members: dict[Key, list[int]] = {}
    for i, group in enumerate(_groups(rows)):
        members.setdefault(group, []).append(i)
    chosen: set[int] = set()
    for group in sorted(members, key=_hash):
        if len(chosen) + len(members[group]) <= wanted:
            chosen.update(members[group])
    return chosen


def _hash(group: Key) -> bytes:
    return hashlib.sha256("\n".join(group).encode()).digest()


def _parted(rows: Sequence[Row], chosen: set[int]) -> tuple[list[Row], list[Row]]:
    """(the chosen rows, the others), each in the order of ``rows``."""
    return [row for i, row in enumerate(rows) if i in chosen], [row for i, row in enumerate(rows) if i not in chosen]
