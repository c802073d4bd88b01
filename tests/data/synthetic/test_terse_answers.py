"""The bundled terse set is as its card says, and its generator makes it."""

import hashlib
import json
import re
from collections import Counter
from random import Random

from data.near_duplicates import near_duplicates
from data.pirate import CARD_ROW
from data.synthetic.tables import load
from data.synthetic.terse_answers import FOLDER, Deck, pairs, training_and_test, wordy


def rows(name):
    return [json.loads(line) for line in (FOLDER / name).read_text(encoding="utf-8").splitlines()]


def test_the_files_are_those_of_the_card_and_of_the_generator():
    card = CARD_ROW.findall((FOLDER / "README.md").read_text(encoding="utf-8"))
    assert [(file, int(n), digest) for file, n, digest in card] == [
        (file, len(rows(file)), hashlib.sha256((FOLDER / file).read_bytes()).hexdigest()) for file, _, _ in card
    ]
    train, test = training_and_test()
    assert (rows("train.jsonl"), rows("test.jsonl")) == (train, test)
    assert (rows("wordy_train.jsonl"), rows("wordy_test.jsonl")) == (wordy(train), wordy(test))


def test_prompts_are_different_and_none_held_out_is_nearly_trained_on():
    train, test = ([row["prompt"] for row in rows(name)] for name in ("train.jsonl", "test.jsonl"))
    assert len({*train, *test}) == 360
    assert near_duplicates(train, test) == {}


def test_the_words_of_a_chosen_answer_are_in_its_prompt_and_in_the_wordy_one():
    for row in rows("train.jsonl") + rows("test.jsonl"):
        texts = [set(re.findall(r"\w+", row[key].lower())) for key in ("chosen", "prompt", "rejected")]
        small = {"in", "on", "at", "a", "the", "because", "room", "platform"}
        assert texts[0] - small <= texts[1] & texts[2], row
        assert len(row["chosen"].split()) * 3 < len(row["rejected"].split())


def test_a_deck_gives_each_word_once_before_one_comes_again_and_never_one_twice_at_a_time():
    deck = Deck(["a", "b", "c", "d", "e"], Random(1))
    drawn = [deck.take(2) for _ in range(50)]
    assert all(first != second for first, second in drawn)
    flat = [word for words in drawn for word in words]
    assert set(Counter(flat).values()) == {20}
    assert max(flat[i + 1 :].index(word) for i, word in enumerate(flat[:50])) < 10


def test_words_are_as_frequent_as_each_other():
    source = pairs(1)
    said = " ".join(next(source)["prompt"] for _ in range(30 * 60))
    assert all(said.count(place) == 10 for place in load("terse_answers").places)
