"""The bundled pirate rows, their lexicon, and what their card says about them."""

import json
import re
from functools import cache
from pathlib import Path

from data.conversation import Row
from data.errors import DataError

FOLDER = Path(__file__).parent / "sets" / "pirate"
SETS = {"clean": "clean_train.jsonl", "tiny": "tiny.jsonl", "noisy": "noisy.jsonl"}
TEST_FILE = "clean_test.jsonl"

QUOTE = "['\u2018\u2019]"
OPENING = "['\u2018\u2019]"
LETTER = r"[^\W_]"
#: The last letter of a word of three letters or more that is written three times or more, but for the r of "arrr".
LENGTHENED = re.compile(r"(?<=[^\W\d_]{2})((?!r)[^\W\d_])\1{2,}(?![^\W_])", re.IGNORECASE)
CARD_ROW = re.compile(r"^\| (\S+\.jsonl) \| (\d+) \| ([0-9a-f]{64}) \|$", re.MULTILINE)


def is_named(name: str) -> bool:
    """True for the names of the bundled training sets: clean, tiny, noisy."""
    return name in SETS


def named_rows(name: str) -> list[Row]:
    """The training rows of one bundled set, in file order.

    Raises:
        DataError: there is no set of that name.
    """
    if not is_named(name):
        raise DataError([f"{name}: no such set; the bundled ones are {', '.join(SETS)}"])
    return _rows(SETS[name], name)


def test_rows() -> list[Row]:
    """The held-out rows, the same for all bundled sets."""
    return _rows(TEST_FILE, "clean_test")


def noise_kinds() -> list[str]:
    """What is wrong with each row of the noisy set, in the order of ``named_rows("noisy")``; ``none`` for good ones."""
    return [record["noise"] for record in _records(SETS["noisy"])]


def card_table() -> dict[str, tuple[int, str]]:
    """(rows, SHA-256 in hex) of each file, as the card says."""
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    return {file: (int(rows), sha256) for file, rows, sha256 in CARD_ROW.findall(card)}


@cache
def lexicon() -> re.Pattern[str]:
    """What counts as a pirate word: one pattern, without regard to case, that never matches half a word.

    An apostrophe is part of its word: ``o'`` is not found in ``o'clock``, nor ``an'`` or ``-in'`` in the quotation
    ``'again'``. The possessive (``the lad's boat``) still counts. Curly apostrophes are as good as straight ones. Words
    of the lexicon may be joined by hyphens (``aye-aye``), and any may stand between underscores or asterisks.
    """
    found = json.loads((FOLDER / "lexicon.json").read_text(encoding="utf-8"))
    words = sorted(found["words"], key=len, reverse=True)  # so that yo-ho-ho is not found as yo-ho
    patterns = [pattern if set(pattern) & set("\\(") else re.escape(pattern) for pattern in found["patterns"]]
    whole = list(map(_whole, [*map(re.escape, words), *patterns]))
    joined = rf"(?:{'|'.join(map(re.escape, words))})"
    return re.compile("|".join([*whole, _whole(rf"{joined}(?:-{joined})+")]), re.IGNORECASE)


def _whole(pattern: str) -> str:
    """``pattern`` (whose apostrophes are its own) held to the bounds of a word."""
    # A dropped letter and a closing quotation mark look the same; an opening mark before the word distinguishes them.
    opened = f"(?<!{OPENING})" if pattern.endswith("'") else ""
    before = rf"{opened}(?<!{LETTER})(?<!{LETTER}{QUOTE})(?<!{LETTER}[-_])"
    after = rf"(?!{LETTER}|[-_]{LETTER}|{QUOTE}(?!s(?!{LETTER})){LETTER})"
    return before + pattern.replace("'", QUOTE) + after


def has_pirate_words(text: str) -> bool:
    """True where at least one word or phrase of the lexicon is in ``text``, its last letter repeated or not."""
    return lexicon().search(LENGTHENED.sub(r"\1", text)) is not None


def _records(file: str) -> list[dict[str, str]]:
    text = (FOLDER / file).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.split("\n") if line]


def _rows(file: str, name: str) -> list[Row]:
    return [
        Row(((record["prompt"], record["response"]),), where=f"{name} row {i}")
        for i, record in enumerate(_records(file), 1)
    ]
