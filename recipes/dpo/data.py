"""The preferences of a run: what is trained on, what chooses the checkpoint, what is reported."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from data import pirate, preferences, splits
from data.conversation import Row, digest
from data.errors import DataError
from data.formats import preferences as formats
from data.formats.records import Record
from data.preferences import Preference, Rating
from recipes.dpo.config import VOTES, DpoConfig
from recipes.sft.data import Rows, without_near_duplicates
from registry.runs import Run
from registry.votes import store
from registry.votes.votes import Vote, model_of, select_pairs

TERSE = "terse"
FOLDER = Path(__file__).parent.parent.parent / "data" / "sets" / TERSE


@dataclass(frozen=True)
class PreferenceRows(Rows):
    """The rows, of which the lists of ``Rows`` hold those whose last answer is a chosen or a good one.

    ``preferences``: those of training, validation and test; for KTO those of the first two are ratings. ``training``:
    those of training as they were read, but for those that were turned round, which ``flipped`` says. ``votes``: ids of
    the traces of the votes that they were made of.
    """

    preferences: tuple[Sequence[Any], Sequence[Any], Sequence[Any]] = ((), (), ())
    training: Sequence[Any] = ()
    flipped: tuple[bool, ...] = ()
    votes: tuple[str, ...] = ()

    def digests(self) -> dict[str, str]:
        """The digest of each list of preferences."""
        names = ("dataset_digest", "validation_digest", "test_digest")
        return {name: digest(rows) for name, rows in zip(names, self.preferences, strict=True)}


def load(config: DpoConfig) -> PreferenceRows:
    """Read and check the preferences that ``config`` names.

    Raises:
        DataError: everything that is wrong with them, one line each.
        TrackingUnavailable: dataset=votes, and the store does not answer.
    """
    notes: list[str] = []
    read, held_out, name = _read_sets(config, notes)
    leaks = splits.overlap(read, held_out)
    if leaks:
        raise DataError(leaks)
    train: list[Any] = list(without_near_duplicates(read, held_out, notes))
    notes += preferences.length_note([row for row in train if isinstance(row, Preference)])
    votes = tuple(row.source for row in train if isinstance(row, Preference) and row.source)
    train, flipped = preferences.flip(train, config.rate, config.noise_seed)
    validation: list[Any]
    test: list[Any]
    validation, test = splits.validation_and_test(held_out)
    learned, checks = train, validation
    if config.loss == "kto":
        learned, checks = preferences.rated(train), preferences.rated(validation)
        notes.append(_rated_note({"to train on": learned, "to choose the checkpoint": checks, "to report": test}))
    good: list[list[Any]] = [
        [row for row in rows if not isinstance(row, Rating) or row.good] for rows in (learned, checks, test)
    ]
    return PreferenceRows(
        good[0],
        good[1],
        good[2],
        name,
        tuple(dict.fromkeys(notes)),
        preferences=(learned, checks, test),
        training=train,
        flipped=tuple(flipped),
        votes=votes,
    )


def _rated_note(sets: dict[str, Sequence[Preference | Rating]]) -> str:
    """How many answers of each kind there are; rows that choose the checkpoint may be all of one kind.

    Raises:
        DataError: the others are.
    """
    counted: list[str] = []
    for purpose, rows in sets.items():
        good, bad = preferences.counts(row for row in rows if isinstance(row, Rating))
        if good or bad:  # else they are pairs
            counted.append(f"{good} good and {bad} bad answers {purpose}")
        if bool(good) != bool(bad) and purpose != "to choose the checkpoint":
            raise DataError([f"loss=kto needs good and bad answers: there are {counted[-1]}"])
    return ", ".join(counted)


def _read_sets(config: DpoConfig, notes: list[str]) -> tuple[list[Any], list[Any], str]:
    """(training rows, held-out rows, whence the latter are)."""
    if config.dataset == TERSE:
        train, held_out = (_file(str(FOLDER / f"{part}.jsonl"), config, notes) for part in ("train", "test"))
        name = "the terse set's own test pairs"
    elif config.test_dataset:
        train, held_out, name = _read(config, notes), [], ""
    else:
        read = _read(config, notes)
        try:
            train, held_out = splits.split(read)
        except DataError as error:
            raise DataError([*error.problems, *notes]) from None  # the rows may be few because some were left out
        name = "a fifth of the preferences, chosen by their prompts"
    if config.test_dataset:
        held_out, name = _file(config.test_dataset, config, notes), config.test_dataset
    return train, held_out, name


def _read(config: DpoConfig, notes: list[str]) -> list[Any]:
    if config.dataset != VOTES:
        return _file(config.dataset, config, notes)
    rows, found = of_votes(config)
    notes += found
    return _usable(rows, config, notes)


def _file(place: str, config: DpoConfig, notes: list[str]) -> list[Any]:
    if pirate.is_named(place):
        raise DataError(
            [
                f"{place}: the set has one response a prompt, which -e pirate trains on; -e dpo takes dataset={TERSE}, "
                f"dataset={VOTES}, or a file of preferences"
            ]
        )
    rows, found = formats.load(place)
    notes += found
    return _usable(rows, config, notes)


def _usable(rows: Sequence[Preference | Rating], config: DpoConfig, notes: list[str]) -> list[Any]:
    """The rows that the loss can use, all pairs or all ratings."""
    pairs = [row for row in rows if isinstance(row, Preference)]
    if len(pairs) not in (0, len(rows)):
        raise DataError([f"{len(pairs)} rows are pairs and {len(rows) - len(pairs)} are rated answers; use one kind"])
    if not pairs:
        if config.loss != "kto":
            raise DataError(
                [f"loss={config.loss} needs pairs, and these are single answers with a label; use loss=kto"]
            )
        return list(rows)
    kept, found = preferences.usable(pairs)
    notes += found
    return kept


def of_votes(config: DpoConfig) -> tuple[list[Preference], list[str]]:
    """The pairs that people's votes make, and how many votes were left out and why.

    Raises:
        DataError: there are none.
    """
    every = store.load()
    reasons = [_not_wanted(vote, config) for vote in every]
    votes = [vote for vote, reason in zip(every, reasons, strict=True) if not reason]
    selected = select_pairs(votes, shown=True)
    rows, problems, _ = formats.check(Record(f"vote {row['vote_id'][:8]}", row) for row in selected.rows)
    counted = [*Counter(filter(None, reasons)).most_common(), *selected.left_out]
    left_out = [f"{count} x {reason}" for reason, count in counted] + problems
    note = f"{len(rows)} pairs of {len(every)} votes" + (f"; left out: {', '.join(left_out)}" if left_out else "")
    if not rows:
        raise DataError([f"dataset=votes: {note}; open make demo, compare two versions and vote"])
    traces = {vote.vote_id: vote.trace_id for vote in votes}
    return [replace(row, source=traces[row.source]) for row in rows if isinstance(row, Preference)], [note]


def _not_wanted(vote: Vote, config: DpoConfig) -> str:
    """Why the settings leave ``vote`` out: a few words, or an empty string where they don't."""
    names = {name.strip() for name in config.versions.split(",") if name.strip()}
    if names and not all({each, model_of(each)} & names for each in vote.versions):
        return f"not between {config.versions}"
    if config.since and vote.cast_at_s < datetime.strptime(config.since, "%Y-%m-%d").timestamp():
        return f"cast before {config.since}"
    return "" if vote.blind or config.pairs == "all" else "cast with the versions shown"


def longer_share(rows: Sequence[Row]) -> float:
    """The share of pairs whose chosen answer has more words, of those that differ; half where none does."""
    sizes = [(len(row.response.split()), len(row.rejected.split())) for row in rows if isinstance(row, Preference)]
    differing = [chosen > rejected for chosen, rejected in sizes if chosen != rejected]
    return sum(differing) / len(differing) if differing else 0.5


def record_rows(config: DpoConfig, rows: PreferenceRows, run: Run) -> None:
    """Which preferences were turned round, and the votes that they were made of."""
    if config.rate:
        flipped = [
            {"where": row.where, "flipped": turned} for row, turned in zip(rows.training, rows.flipped, strict=True)
        ]
        run.text(json.dumps(flipped, indent=1), "flipped.json")
    if rows.votes:
        run.text(json.dumps(rows.votes, indent=1), "votes.json")
        run.tags({"votes": str(len(rows.votes))})
