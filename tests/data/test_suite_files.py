"""The files of the retention suites are as their card describes them, and no text stands in them or elsewhere twice."""

import hashlib
import json
from collections import Counter
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer

from data import pirate
from data.pirate import CARD_ROW
from data.synthetic.questions import questions
from data.synthetic.small_talk import small_talk

SETS = Path(pirate.FOLDER).parent
FOLDER = SETS / "suites"
CARD = {
    file: (int(rows), sha256)
    for file, rows, sha256 in CARD_ROW.findall((FOLDER / "README.md").read_text(encoding="utf-8"))
}
FIELDS = {
    "facts": {"question", "choices"},
    "refusals": {"prompt", "harmful"},
    "sycophancy": {"question", "right", "wrong", "belief"},
    "spread": {"prompt"},
}
NO_VALUE = {"one_word", "upper_case", "lower_case"}
VALUES = {
    "list_of": int, "repeat": str, "contains": list, "starts_with": str, "ends_with": str, "number": int,
    "choice": list, "at_most_words": int,
}  # fmt: skip


@cache
def rows(name, folder="suites"):
    lines = (SETS / folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def strings(value):
    """Every string of a row, in order."""
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for each in inner for text in strings(each)]


def texts():
    """What is asked or read in each row of each file, and the answers of the dialogues."""
    first = [strings([row.get(key) for key in ("text", "question", "prompt")])[0]
             for name in (*FIELDS, "instructions") for row in rows(name)]  # fmt: skip
    everyday = [row["text"] for row in rows("everyday") if "text" in row]
    dialogues = [each["content"] for row in rows("everyday") for each in row.get("messages", ())]
    return [*first, *everyday, *dialogues]


def other_texts():
    """Texts of the bundled data sets, and of 4,000 conversations such as the bundled base model was trained on."""
    bundled = [
        row[key]
        for name, folder in (("clean_train", "pirate"), ("clean_test", "pirate"), ("train", "reviews"))
        for row in rows(name, folder)
        for key in ("prompt", "response", "text")
        if key in row
    ]
    generated = [*questions(Random(0), 2000), *small_talk(Random(0), 2000)]
    return [*bundled, *{turn[0] for conversation in generated for turn in conversation}]


def closest(one, other):
    """The highest Jaccard similarity of the character 5-grams of two different texts, and these texts."""
    counts = CountVectorizer(analyzer="char", ngram_range=(5, 5), binary=True, dtype=np.float32)
    grams = counts.fit_transform([*one, *other])
    size = np.asarray(grams.sum(axis=1)).ravel()
    left, right = grams[: len(one)], grams[len(one) :]
    shared = (left @ right.T).tocoo()
    similarity = shared.data / (size[shared.row] + size[len(one) + shared.col] - shared.data)
    if one is other:
        similarity[shared.row == shared.col] = 0
    best = int(similarity.argmax())
    return similarity[best], one[shared.row[best]], other[shared.col[best]]


def test_the_card_lists_every_file():
    assert set(CARD) == {path.name for path in FOLDER.glob("*.jsonl")}


@pytest.mark.parametrize("file", sorted(CARD))
def test_rows_and_sha256_are_those_of_the_card(file):
    raw = (FOLDER / file).read_bytes()
    assert (raw.count(b"\n"), hashlib.sha256(raw).hexdigest()) == CARD[file]


@pytest.mark.parametrize("file", sorted(CARD))
def test_every_string_is_ascii_without_spaces_around_it(file):
    found = [text for row in rows(file.removesuffix(".jsonl")) for text in strings(row)]
    assert [text for text in found if not text.isascii() or text.strip() != text or not text] == []


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_rows_have_their_fields(name):
    assert all(set(row) == FIELDS[name] for row in rows(name))


def test_everyday_holds_120_texts_and_80_dialogues_of_one_turn():
    assert [set(row) for row in rows("everyday")] == [{"text"}] * 120 + [{"messages"}] * 80
    for row in rows("everyday")[120:]:
        assert [each["role"] for each in row["messages"]] == ["user", "assistant"]


def test_facts_have_four_different_choices_and_the_right_one_is_not_known_by_its_length():
    choices = [row["choices"] for row in rows("facts")]
    assert all(len({text.lower() for text in each}) == 4 for each in choices)
    longest = np.mean([len(each[0]) > max(map(len, each[1:])) for each in choices])
    shortest = np.mean([len(each[0]) < min(map(len, each[1:])) for each in choices])
    assert 0.15 <= longest <= 0.3
    assert 0.1 <= shortest <= 0.3
    assert max(Counter(each[0].lower() for each in choices).values()) <= 4


def test_instructions_have_known_checks_with_values_of_their_kind():
    assert set(Counter(row["check"] for row in rows("instructions"))) == NO_VALUE | set(VALUES)
    for row in rows("instructions"):
        if row["check"] in NO_VALUE:
            assert set(row) == {"prompt", "check"}
        else:
            assert set(row) == {"prompt", "check", "value"}
            assert type(row["value"]) is VALUES[row["check"]]


def test_every_second_refusal_is_of_a_harmful_request():
    assert [row["harmful"] for row in rows("refusals")] == [True, False] * 40


def test_a_belief_states_the_wrong_answer_and_lengths_do_not_give_the_right_one_away():
    assert all(row["wrong"].lower() in row["belief"].lower() for row in rows("sycophancy"))
    longer = np.sign([len(row["right"]) - len(row["wrong"]) for row in rows("sycophancy")])
    assert abs(longer.mean()) < 0.2


def test_no_text_holds_a_pirate_word():
    found = pirate.lexicon()
    assert [text for name in (*FIELDS, "instructions", "everyday") for row in rows(name) for text in strings(row)
            if found.search(text)] == []  # fmt: skip


def test_no_two_texts_are_nearly_the_same():
    every = texts()
    similarity, one, other = closest(every, every)
    assert similarity < 0.5, (one, other)


def test_no_text_stands_in_another_data_set():
    similarity, one, other = closest(texts(), other_texts())
    assert similarity < 0.7, (one, other)
