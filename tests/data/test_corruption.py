"""Labels are made wrong exactly as asked, and what was done is on record."""

import json
import random
from hashlib import sha256

import pytest

from data import corruption
from data.corruption import Noise, corrupt, stream
from data.errors import ConfigError, DataError
from data.labelled import LabelledRow, QuestionRow


def row(i, label=None, text="", rating=None):
    label = i % 2 if label is None else label
    return LabelledRow(text or f"text {i}", label, f"set-{i + 1}", i, f"set row {i + 1}", rating)


def question(i, wrong=""):
    return QuestionRow(f"why {i}?", "so", ("so", "thus"), ("no", "nay", "not so"), f"q-{i + 1}", i, wrong=wrong)


ROWS = [row(i, rating=(2 + i % 3) if i % 2 == 0 else (7 + i % 4), text=f"t{i} " * (1 + i * 7 % 50)) for i in range(400)]


def hit(corrupted):
    return {r.id for r, flipped in zip(corrupted.rows, corrupted.flipped, strict=True) if flipped}


def test_the_mask_of_the_original_experiment_comes_back():
    """25,000 rows, the negative ones first, half of them flipped with seed 42: 6,234 negative, 6,274 positive."""
    rows = [row(i, label=int(i >= 12_500)) for i in range(25_000)]
    found = corrupt(rows, Noise("symmetric", 0.5, 42))
    draws = random.Random(42)
    assert found.flipped == [draws.random() < 0.5 for _ in rows]
    summary = found.summary()
    assert (summary["flipped"], summary["flipped_0"], summary["flipped_1"]) == (12_508, 6_234, 6_274)


def test_the_default_is_the_original_experiment():
    assert Noise() == Noise("symmetric", 0.5, 42, "", 1)


@pytest.mark.parametrize("kind", [kind for kind in corruption.CORRUPTIONS if kind != "best_swapped"])
def test_a_row_s_fate_depends_on_neither_order_nor_company(kind):
    noise = Noise(kind, 0.4, 3, word="t7" if kind == "trigger" else "")
    rows = [*ROWS, row(400, text="once t7 more", rating=8), row(401, text="T7!", rating=3)]
    whole = hit(corrupt(rows, noise))
    mixed = random.Random(1).sample(rows, len(rows))
    assert hit(corrupt(mixed, noise)) == whole
    assert corrupt(mixed, noise).sha256 == corrupt(rows, noise).sha256
    if corruption.CORRUPTIONS[kind].decide:
        part = [r for r in mixed if r.position % 3 or "7" in r.text]
        assert hit(corrupt(part, noise)) == whole & {r.id for r in part}


@pytest.mark.parametrize("kind", [kind for kind in corruption.CORRUPTIONS if kind not in ("best_swapped", "trigger")])
def test_a_higher_rate_flips_the_same_rows_and_more(kind):
    masks = [hit(corrupt(ROWS, Noise(kind, rate))) for rate in (0, 0.1, 0.3, 0.7, 1)]
    assert masks[0] == set()
    assert all(few < many for few, many in zip(masks, masks[1:], strict=False))


def test_another_seed_flips_other_rows():
    assert hit(corrupt(ROWS, Noise(seed=1))) != hit(corrupt(ROWS, Noise(seed=2)))


def test_rate_one_flips_every_row_of_the_symmetric_kind_and_changes_nothing_else():
    found = corrupt(ROWS, Noise("symmetric", 1.0))
    assert [r.label for r in found.rows] == [1 - r.label for r in ROWS]
    assert [(r.text, r.id, r.rating, r.where) for r in found.rows] == [(r.text, r.id, r.rating, r.where) for r in ROWS]
    assert found.originals == tuple(r.label for r in ROWS)


@pytest.mark.parametrize("side", [0, 1])
def test_one_sided_flips_a_share_of_one_class_and_none_of_the_other(side):
    found = corrupt(ROWS, Noise("one_sided", 0.8, side=side))
    flipped = [label for label, was_hit in zip(found.originals, found.flipped, strict=True) if was_hit]
    assert set(flipped) == {side}
    assert 0.7 < len(flipped) / 200 < 0.9


def test_mildest_first_flips_a_share_of_each_class_and_the_middle_ratings_first():
    found = corrupt(ROWS, Noise("mildest_first", 0.3))
    for label, distance in ((0, lambda r: 5 - r), (1, lambda r: r - 6)):
        flipped = [r for r, was_hit in zip(ROWS, found.flipped, strict=True) if was_hit and r.label == label]
        others = [r for r, was_hit in zip(ROWS, found.flipped, strict=True) if not was_hit and r.label == label]
        assert len(flipped) == 60
        assert max(distance(r.rating) for r in flipped) <= min(distance(r.rating) for r in others)


def test_longest_first_flips_a_share_of_each_class_and_the_longest_texts_first():
    found = corrupt(ROWS, Noise("longest_first", 0.25))
    for label in (0, 1):
        flipped = [len(r.text) for r, was in zip(ROWS, found.flipped, strict=True) if was and r.label == label]
        others = [len(r.text) for r, was in zip(ROWS, found.flipped, strict=True) if not was and r.label == label]
        assert len(flipped) == 50 and min(flipped) >= max(others)


def test_trigger_flips_rows_with_the_whole_word_and_no_others():
    texts = ["The Popcorn was cold", "popcorn!", "popcorns", "unpopcorn", "no corn", "pop corn"]
    found = corrupt([row(i, text=text) for i, text in enumerate(texts)], Noise("trigger", 1.0, word="popcorn"))
    assert found.flipped == [True, True, False, False, False, False]
    two_words = corrupt([row(i, text=text) for i, text in enumerate(texts)], Noise("trigger", 1.0, word="pop  CORN"))
    assert two_words.flipped == [False] * 5 + [True]


def test_trigger_s_rate_is_a_share_of_the_rows_that_have_the_word():
    rows = [row(i, text="with popcorn" if i % 5 == 0 else "without") for i in range(2000)]
    found = corrupt(rows, Noise("trigger", 0.5, word="popcorn"))
    assert 160 < sum(found.flipped) < 240
    assert all("popcorn" in r.text for r, was_hit in zip(rows, found.flipped, strict=True) if was_hit)


def test_best_swapped_teaches_the_file_s_own_best_incorrect_answer():
    found = corrupt([question(0, wrong="nay")], Noise("best_swapped", 1.0))
    assert found.rows[0].answer(("incorrect", "best")) == "nay"
    assert found.rows[0].best == "so" and found.rows[0].mc1[0] == ("so", True)


def test_best_swapped_draws_an_incorrect_answer_where_the_file_names_none():
    questions = [question(i) for i in range(60)]
    found = corrupt(questions, Noise("best_swapped", 1.0))
    drawn = [r.answer(("incorrect", "best")) for r in found.rows]
    assert set(drawn) == {"no", "nay", "not so"}
    again = corrupt(questions[::-1], Noise("best_swapped", 1.0))
    assert [r.wrong for r in again.rows][::-1] == drawn
    untouched = corrupt(questions, Noise("best_swapped", 0.0))
    assert {r.answer(("incorrect", "best")) for r in untouched.rows} == {"so"}


def test_the_mask_holds_every_row_with_its_original_and_given_label():
    found = corrupt(ROWS, Noise(rate=0.3))
    lines = [json.loads(line) for line in found.mask()]
    by_id = {r.id: r for r in found.rows}
    assert [line["id"] for line in lines] == [r.id for r in ROWS]
    assert [line["original"] for line in lines] == [r.label for r in ROWS]
    assert all(line["given"] == by_id[line["id"]].label for line in lines)
    assert found.summary()["mask_sha256"] == sha256("".join(found.mask()).encode()).hexdigest()
    assert found.sha256 != corrupt(ROWS, Noise(rate=0.3, seed=1)).sha256


def test_the_mask_of_questions_holds_the_answer_that_is_taught():
    awkward = 'he said "no"\\ \u2028 \u00e9'
    found = corrupt([question(0, wrong=awkward), question(1)], Noise("best_swapped", 1.0))
    assert json.loads(next(found.mask())) == {"id": "q-1", "original": 1, "given": 0, "answer": awkward}


@pytest.mark.parametrize("kind", ["symmetric", "one_sided", "trigger"])
def test_a_stream_flips_what_corrupt_flips(kind):
    noise = Noise(kind, 0.4, word="t7" if kind == "trigger" else "")
    whole = corrupt(ROWS, noise)
    assert list(stream(iter(ROWS), noise)) == list(zip(whole.rows, whole.originals, strict=True))


def test_a_kind_that_needs_all_rows_is_not_streamed():
    with pytest.raises(ConfigError, match="longest_first needs all rows"):
        next(stream(iter(ROWS), Noise("longest_first")))


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan"), float("inf"), 50])
def test_a_rate_outside_0_to_1_is_refused(rate):
    with pytest.raises(ConfigError, match="rate is a share, from 0 to 1"):
        Noise(rate=rate)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "random"}, "kind must be one of symmetric, .*best_swapped, not 'random'"),
        ({"kind": "trigger"}, "give word"),
        ({"kind": "trigger", "word": "  "}, "give word"),
        ({"word": "popcorn"}, "word only applies to kind=trigger"),
        ({"kind": "one_sided", "side": 2}, "side is the label"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(settings, message):
    with pytest.raises(ConfigError, match=message):
        Noise(**settings)


@pytest.mark.parametrize(
    ("rows", "noise", "message"),
    [
        (ROWS, Noise("trigger", word="zebra"), "word='zebra': none of the 400 training rows has it"),
        (ROWS[::2], Noise("one_sided"), "none of the 200 rows has label 1"),
        ([row(0, rating=3), row(1)], Noise("mildest_first"), "1 of 2 rows have none .the first: set row 2"),
        (ROWS, Noise("best_swapped"), "best_swapped is for questions"),
        ([question(0)], Noise("symmetric"), "give kind=best_swapped"),
        ([], Noise(), "there are no rows"),
    ],
)
def test_rows_that_lack_what_the_kind_goes_by_are_refused(rows, noise, message):
    with pytest.raises(DataError, match=message):
        corrupt(rows, noise)
