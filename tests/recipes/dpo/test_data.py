"""The preferences of a run: of votes, with what is left out counted; turned round by rate; taken apart for KTO."""

from typing import get_args

import pytest

from data.errors import DataError
from inference.transcript import ModelInfo, Reply, Sampling
from recipes.dpo.config import DpoConfig
from recipes.dpo.data import load, of_votes
from registry.votes import store as vote_store
from registry.votes.votes import Side, Vote


def test_cross_entropy_is_added_by_default_and_orpo_has_its_own():
    weights = {loss: DpoConfig(loss=loss).settings.sft_weight for loss in get_args(DpoConfig.__annotations__["loss"])}
    assert weights == {"dpo": 1.0, "ipo": 1.0, "orpo": 0.0, "kto": 1.0}
    assert DpoConfig(sft_weight=0).settings.sft_weight == 0
    assert DpoConfig(sft_weight=0).lr_share < DpoConfig().lr_share == DpoConfig(loss="orpo").lr_share


def cast(number, choice="right", blind=True, ended="end", versions=("pirate/1", "dpo/1")):
    left, right = (
        Side(ModelInfo(reference, "lora", "ab", "base", "cd", 9), Reply(f"{text} {number}.", (1, 2), ended, 0.1, 0.5))
        for reference, text in zip(versions, ("Hello", "Ahoy"), strict=True)
    )
    vote_store.record(Vote(f"e{number}", "v", choice, blind, f"Hi {number}", left, right, Sampling(), 1_700_000_000.0))


def test_votes_are_pairs_and_those_left_out_are_counted(store):
    for number, choice in enumerate(["right", "left", "tie", "both_bad"]):
        cast(number, choice)
    cast(4, ended="length")
    cast(5, blind=False)
    cast(6, versions=("other/1", "pirate/1"))
    found, [note] = of_votes(DpoConfig(dataset="votes", versions="pirate,dpo/1"))
    assert [(row.prompt, row.response, row.rejected) for row in found] == [
        ("Hi 0", "Ahoy 0.", "Hello 0."),
        ("Hi 1", "Hello 1.", "Ahoy 1."),
    ]
    assert all(row.source for row in found)
    assert note.startswith("2 pairs of 7 votes") and "2 votes not asked for" in note
    assert "2 x no answer was preferred" in note and "1 x the preferred answer was cut off" in note
    with pytest.raises(DataError, match="0 pairs"):
        of_votes(DpoConfig(dataset="votes", since="2999-01-01"))


def test_the_bundled_set_is_divided_and_its_notes_name_what_length_predicts():
    rows = load(DpoConfig())
    assert (len(rows.train), len(rows.validation), len(rows.test)) == (300, 15, 45)
    assert any("shorter one in 100% of 300 pairs" in note for note in rows.notes)


def test_a_share_of_the_training_pairs_is_turned_round_and_no_others():
    clean, noisy = load(DpoConfig()), load(DpoConfig(rate=0.2))
    assert sum(noisy.flipped) == 60
    for before, after, turned in zip(clean.training, noisy.training, noisy.flipped, strict=True):
        assert (after.response, after.rejected) == (
            (before.rejected, before.response) if turned else (before.response, before.rejected)
        )
    assert noisy.preferences[1:] == clean.preferences[1:]
    assert noisy.digests()["dataset_digest"] != clean.digests()["dataset_digest"]


def test_pairs_are_taken_apart_for_kto_but_tested_as_pairs():
    rows = load(DpoConfig(loss="kto"))
    assert (len(rows.preferences[0]), len(rows.train), len(rows.preferences[2])) == (600, 300, 45)
