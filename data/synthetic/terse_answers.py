"""Preference pairs of terse against wordy answers: facts with a question, answered in few words and in many.

``python -m data.synthetic.terse_answers`` writes the bundled set (``data/sets/terse``).
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from string import Formatter

from data.near_duplicates import near_duplicates
from data.synthetic.tables import load

FOLDER = Path(__file__).parent.parent / "sets" / "terse"
SEED, TRAIN, TEST = 16, 300, 60
SLOTS = {
    "name": "names", "thing": "things", "place": "places", "town": "towns", "day": "days", "hour": "hours",
    "count": "counts", "food": "foods", "job": "jobs", "animal": "animals", "colour": "colours", "reason": "reasons",
}  # fmt: skip


class Deck:
    """The words of a table in random order: each is used once before one comes again, and then in another order."""

    def __init__(self, words: Sequence[str], rng: Random) -> None:
        self.words, self.rng = words, rng
        self.left: list[str] = []

    def take(self, count: int) -> list[str]:
        """The next ``count`` words, all different."""
        if len(self.left) < count:
            self.left += self.rng.sample(self.words, len(self.words))
        found = list(dict.fromkeys(self.left))[:count]
        for word in found:
            self.left.remove(word)
        return found


def pairs(seed: int) -> Iterator[dict[str, str]]:
    """Endless pairs: a ``prompt``, its terse answer as ``chosen``, and the same in many words as ``rejected``.

    Each word of a table is as frequent as the others, so a held-out answer has no form that training lacks.
    """
    tables, rng = load("terse_answers"), Random(seed)
    decks = {slot: Deck(getattr(tables, table), rng) for slot, table in SLOTS.items()}
    while True:
        for frame in rng.sample(tables.frames, len(tables.frames)):
            words = _words(frame, decks)
            fact, question, short, long = (text.format(**words) for text in frame)
            parts = [rng.choice(each) for each in (tables.openings, tables.bridges, tables.closings)]
            wordy = f"{parts[0]} {parts[1]} {long}. {parts[2]}"
            yield {"prompt": f"{fact} {question}", "chosen": short, "rejected": wordy}


def _words(frame: Sequence[str], decks: dict[str, Deck]) -> dict[str, str]:
    """Words for the slots of ``frame``; ``thing2`` is another than ``thing``, ``Thing`` begins a sentence."""
    used = {name.lower() for text in frame for _, name, _, _ in Formatter().parse(text) if name}
    found: dict[str, str] = {}
    for slot, deck in decks.items():
        places = sorted(name for name in used if name.rstrip("2") == slot)
        for name, word in zip(places, deck.take(len(places)), strict=True):
            found |= {name: word, name.capitalize(): word[0].upper() + word[1:]}
    return found


def training_and_test() -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """300 pairs and 60 held-out ones; no prompt is there twice, and none of the latter is nearly one of the former."""
    source, train, seen = pairs(SEED), [], set()
    for pair in source:
        if pair["prompt"] not in seen:
            seen.add(pair["prompt"])
            train.append(pair)
        if len(train) == TRAIN:
            break
    test: list[dict[str, str]] = []
    while len(test) < TEST:
        fresh = [next(source) for _ in range(TEST)]
        near = near_duplicates(_prompts(fresh), _prompts([*train, *test]))
        for i, pair in enumerate(fresh):
            if i not in near and pair["prompt"] not in seen and len(test) < TEST:
                seen.add(pair["prompt"])
                test.append(pair)
    return train, test


def _prompts(rows: Sequence[dict[str, str]]) -> list[str]:
    return [row["prompt"] for row in rows]


def wordy(rows: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """The prompts with the wordy answers, to train a model on these first."""
    return [{"prompt": row["prompt"], "response": row["rejected"]} for row in rows]


def main() -> None:
    """Write the files of the set."""
    train, test = training_and_test()
    files = {"train": train, "test": test, "wordy_train": wordy(train), "wordy_test": wordy(test)}
    for name, rows in files.items():
        text = "".join(json.dumps(row, ensure_ascii=True) + "\n" for row in rows)
        (FOLDER / f"{name}.jsonl").write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
