"""The preferences of a run: of votes, with what is left out counted; turned round by rate; taken apart for KTO."""

import json
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


def cast(number, choice="right", blind=True, ended="end", versions=("pirate/1", "dpo/1"), voter="v", said=None):
    said = number if said is None else said
    left, right = (
        Side(ModelInfo(reference, "lora", "ab", "base", "cd", 9), Reply(f"{text} {said}.", (1, 2), ended, 0.1, 0.5))
        for reference, text in zip(versions, ("Hello", "Ahoy"), strict=True)
    )
    vote = Vote(f"e{number}", voter, choice, blind, f"Hi {said}", left, right, Sampling(), 1_700_000_000.0)
    return vote_store.record(vote)


def test_a_set_of_single_responses_is_refused_by_name():
    with pytest.raises(DataError, match="^clean: the set has one response a prompt, which -e pirate trains on"):
        load(DpoConfig(dataset="clean"))


def test_votes_are_pairs_and_those_left_out_are_counted(store):
    traces = [cast(number, choice) for number, choice in enumerate(["right", "left", "tie", "both_bad"])]
    cast(9, said=1, choice="left")
    cast(4, ended="length")
    cast(5, blind=False)
    cast(6, versions=("other/1", "pirate/1"))
    found, [note] = of_votes(DpoConfig(dataset="votes", versions="pirate,dpo/1"))
    assert [(row.prompt, row.response, row.rejected) for row in found] == [
        ("Hi 0", "Ahoy 0.", "Hello 0."),
        ("Hi 1", "Hello 1.", "Ahoy 1."),
    ]
    assert [row.source for row in found] == traces[:2]
    assert note.startswith("2 pairs of 8 votes") and "1 x the same pair" in note
    assert "1 x not between pirate,dpo/1" in note and "1 x cast with the versions shown" in note
    assert "2 x no answer was preferred" in note and "1 x the preferred answer was cut off" in note
    with pytest.raises(DataError, match="0 pairs of 8 votes; left out: 8 x cast before 2999-01-01"):
        of_votes(DpoConfig(dataset="votes", since="2999-01-01"))


def test_voters_who_disagree_are_two_annotators(store):
    for number, voter in enumerate(["v", "w"]):
        for said in range(11):
            cast(20 * number + said, said=said, voter=voter, choice="left" if said == 0 and voter == "w" else "right")
    for number, choice in enumerate(["left", "right"]):
        cast(90 + number, choice, said=99)
    rows = load(DpoConfig(dataset="votes"))
    assert sum(map(len, rows.preferences)) == 12
    assert "2 pairs on which annotators disagree stay" in rows.notes
    assert "2 pairs left out: the same annotator chose both ways" in rows.notes


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_too_few_rows_are_explained_by_those_that_were_left_out(tmp_path):
    sides = [{"prompt": f"p {i}", "chosen": a, "rejected": b} for i in range(8) for a, b in ("xy", "yx")]
    with pytest.raises(DataError, match="(?s)0 rows .*16 pairs left out: the same annotator"):
        load(DpoConfig(dataset=written(tmp_path / "rows.jsonl", sides)))


def test_rated_answers_of_one_kind_are_refused_but_may_choose_the_checkpoint(tmp_path):
    def rated(prompts, label):
        return [{"prompt": f"{one} is {one * 2}", "completion": f"a {one}", "label": label(one)} for one in prompts]

    def read(**labels):
        names = {"dataset": range(20), "test_dataset": range(30, 46)}
        sets = {n: written(tmp_path / f"{n}.jsonl", rated(p, labels.get(n, lambda i: i % 2))) for n, p in names.items()}
        return load(DpoConfig(loss="kto", **sets))

    with pytest.raises(DataError, match="there are 20 good and 0 bad answers to train on"):
        read(dataset=lambda _: True)
    with pytest.raises(DataError, match="there are 0 good and 12 bad answers to report"):
        read(test_dataset=lambda _: False)
    chooses = {int(row.prompt.split()[0]) for row in read().preferences[1]}
    rows = read(test_dataset=lambda i: i not in chooses and i % 2)
    assert not rows.validation and len(rows.preferences[1]) == 4
    assert any("0 good and 4 bad answers to choose the checkpoint" in note for note in rows.notes)


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
