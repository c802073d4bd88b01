"""A link restores exactly what it was made from, and a broken one restores what it can and says the rest."""

import random
from urllib.parse import parse_qs, parse_qsl

import pytest

from demo.limits import RequestLimits, check_request
from demo.share_links import Shared, from_query, to_query
from inference.transcript import Sampling


def test_whatever_goes_into_a_link_comes_back():
    draw = random.Random(6)
    signs = "abc &=?#+%/\n\t\"'<>;é日😀\u200d"
    names, kinds = "ab &=+%.é,|", ["", ":base", ":24", ":x1.5", ":24:x-1"]
    for _ in range(300):
        references = tuple(
            f"{''.join(draw.choices(names, k=draw.randrange(1, 9)))}/{draw.randrange(1, 99)}{draw.choice(kinds)}"
            for _ in range(draw.randrange(5))
        )
        sampling = Sampling(draw.uniform(0, 2), draw.random(), draw.randrange(1, 201), draw.randrange(2**31))
        prompt = "x" + "".join(draw.choices(signs, k=draw.randrange(50))) if draw.random() < 0.8 else ""
        blind = draw.random() < 0.5
        system = draw.choice(["", f"y{prompt}"])
        query = to_query(references, sampling, prompt, blind, system)
        assert query.isascii()
        expected = Shared(references, sampling, prompt, blind, system)
        assert from_query(parse_qs(query, keep_blank_values=True)) == expected
        assert from_query(dict(parse_qsl(query))) == expected


def test_the_smallest_and_largest_settings_survive():
    for sampling in (Sampling(0.0, 0.0, 1, 0), Sampling(5e-324, 1.0, 200, 2**31 - 1), Sampling(0, 1, 1, 1)):
        shared = from_query(parse_qs(to_query([], sampling, "", False)))
        assert (shared.sampling, shared.notes) == (sampling, ())


def test_an_empty_link_and_unknown_keys_give_the_defaults_silently():
    assert from_query({}) == Shared() == from_query({"utm_source": "x", "__theme": "dark", "left ": "y"})


@pytest.mark.parametrize(
    "value", ["nan", "inf", "-1", "1_0", " 1", "1e999", "0x1", "", "９", "1" * 5000, "true", "5.1"]
)
def test_a_bad_setting_falls_to_its_default_with_a_note_and_leaves_the_others(value):
    shared = from_query({"temperature": value, "seed": "3"})
    assert shared.sampling == Sampling(seed=3)
    assert len(shared.notes) == 1 and "temperature" in shared.notes[0] and len(shared.notes[0]) < 200


def test_a_setting_beyond_its_fields_limits_is_left_with_a_note_that_names_them():
    shared = from_query({"temperature": "4", "seed": "-3"})
    assert shared.sampling == Sampling()
    assert "temperature must be a number from 0 to 2, not 4.0" in shared.notes[0]
    assert "seed must be a whole number from 0 to 2147483647, not -3" in shared.notes[1]


@pytest.mark.parametrize("value", ["0", "201", "1.5", "-3", "9" * 5000])
def test_whole_numbers_are_held_to_their_caps(value):
    shared = from_query({"max_new_tokens": value})
    assert shared.sampling == Sampling() and "max_new_tokens" in shared.notes[0]


@pytest.mark.parametrize(
    "reference",
    ["pirate", "../../etc/passwd", "/etc/passwd", "models:/pirate/3", "pirate/3:best", "pirate/-1", "a/b/3",
     "pirate/3 ", "x" * 121 + "/3", "pirate/" + "9" * 10, "http://x/3", "pi\nrate/3", "pirate/3\n", "pirate/３"],
)  # fmt: skip
def test_what_is_no_version_is_left_out_with_a_note_and_the_others_keep_their_sides(reference):
    shared = from_query({"left": reference, "right": "pirate/3"})
    assert shared.references == ("", "pirate/3")
    assert len(shared.notes) == 1 and "left" in shared.notes[0] and "\n" not in shared.notes[0]


def test_only_a_plain_1_is_blind():
    assert [from_query({"blind": value}).blind for value in ("1", ["1"], "0", "", "true")] == [True, True] + [False] * 3


def test_a_long_prompt_is_cut_and_one_that_is_no_text_left_out():
    shared = from_query({"prompt": "x" * 5000})
    assert shared.prompt == "x" * 2000 and "2,000" in shared.notes[0]
    shared = from_query({"prompt": "a\x00", "seed": "3"})
    assert shared.prompt == "" and "U+0000" in shared.notes[0] and shared.sampling.seed == 3


def test_tighter_caps_hold_a_link_made_under_wider_ones():
    caps = RequestLimits(prompt_chars=10, new_tokens=20, panes=2)
    query = to_query(["a/1", "b/2", "c/3"], Sampling(max_new_tokens=150), "a prompt too long for this page", False)
    shared = from_query(parse_qs(query), caps)
    assert shared.references == ("a/1", "b/2") and len(shared.prompt) == 10 and len(shared.notes) == 2
    check_request(shared.prompt, 1, 2, shared.sampling, caps)


def test_a_prompt_that_can_not_be_encoded_still_makes_a_link():
    assert from_query(parse_qs(to_query([], Sampling(), "a\ud800b", False))).prompt == "a?b"
