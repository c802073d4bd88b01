"""The server checks what arrives, whatever the page's fields allow, with errors that name the field."""

import math
from dataclasses import fields, replace

import pytest

from data.errors import ConfigError, UserError
from demo.limits import RequestLimits, check_request
from inference.transcript import Sampling

CAPS = RequestLimits()
GOOD = Sampling()


def check(prompt: object = "hi", turns=1, panes=2, caps=CAPS, **settings):
    check_request(prompt, turns, panes, replace(GOOD, **settings), caps)


def test_good_requests_pass_at_both_ends_of_every_range():
    check()
    check("x" * CAPS.prompt_chars, CAPS.turns, CAPS.panes)
    check("two\nlines\tand\r\nan emoji 😀 and é")
    check(temperature=0, top_p=0, max_new_tokens=1, seed=0)
    check(temperature=2.0, top_p=1, max_new_tokens=CAPS.new_tokens, seed=2**31 - 1)


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("", "blank"), (" \n\t ", "blank"), ("\u200b\u00a0", "blank"), (None, "must be text"), (7, "must be text"),
        ("x" * 2001, "2,001 characters; at most 2,000"), ("a\x00b", r"U\+0000"), ("a\x1b[31m", r"U\+001B"),
        ("a\x7f", r"U\+007F"), ("a\x85", r"U\+0085"), ("a\ud800", r"U\+D800"),
    ],
)  # fmt: skip
def test_prompts_that_can_not_be_answered_are_refused_in_one_line(prompt, said):
    with pytest.raises(UserError, match=said) as refused:
        check(prompt)
    str(refused.value).encode()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("temperature", value) for value in (math.nan, math.inf, -math.inf, -0.1, 2.1, "0.7", None, True, 10**400)),
        *(("top_p", value) for value in (math.nan, -0.01, 1.01, "1", None)),
        *(("max_new_tokens", value) for value in (0, -1, 201, 10.0, "10", None, True)),
        *(("seed", value) for value in (-1, 2**31, 1.5, math.nan, "7", None)),
    ],
)
def test_settings_out_of_range_or_of_another_type_are_named(name, value):
    with pytest.raises(UserError, match=f"^{name} must be a .*number from ") as refused:
        check(**{name: value})
    assert len(str(refused.value)) < 150


def test_a_number_too_long_to_spell_is_refused_like_any_other():
    with pytest.raises(UserError, match="^seed must be a whole number from 0 to 2147483647, not a number that long"):
        check(seed=10**5000)


def test_conversations_and_columns_have_an_end():
    with pytest.raises(UserError, match="12 prompts; start a new one"):
        check(turns=13)
    for panes in (0, 7):
        with pytest.raises(UserError, match="1 to 6"):
            check(panes=panes)


def test_the_caps_in_force_are_told_in_words():
    caps = RequestLimits(101, 102, 103, 104, 105, 106, 107_000)
    said = " ".join(caps.lines())
    assert all(f"{getattr(caps, field.name):,}" in said for field in fields(caps))


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "9"])
def test_caps_that_make_no_sense_are_refused_by_name(value):
    for field in fields(CAPS):
        with pytest.raises(ConfigError, match=f"^{field.name} must be"):
            replace(CAPS, **{field.name: value})
