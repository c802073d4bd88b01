"""The server checks what arrives, whatever the page's fields allow, and hands tokens out at the rate it was told."""

import math
import threading
import time
from dataclasses import fields, replace

import pytest

from data.errors import ConfigError, UserError
from demo.limits import Budget, RequestLimits, check_request
from inference.transcript import Sampling

CAPS = RequestLimits()
GOOD = Sampling()


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s


def check(prompt: object = "hi", turns=1, panes=2, caps=CAPS, **settings):
    check_request(prompt, turns, panes, replace(GOOD, **settings), caps)


def test_good_requests_pass_at_both_ends_of_every_range():
    check()
    check("x" * CAPS.prompt_chars, CAPS.turns, CAPS.panes)
    check("two\nlines\tand\r\nan emoji 😀 and é")
    check(temperature=0, top_p=0, max_new_tokens=1, seed=0)
    check(temperature=5.0, top_p=1, max_new_tokens=CAPS.new_tokens, seed=2**31 - 1)


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
        *(("temperature", value) for value in (math.nan, math.inf, -math.inf, -0.1, 5.1, "0.7", None, True, 10**400)),
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
    for panes in (0, 5):
        with pytest.raises(UserError, match="1 to 4"):
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


def test_a_budget_grants_until_it_is_empty_and_then_says_how_long_to_wait():
    clock = Clock()
    budget = Budget(600, clock)
    assert budget.take(600) == 0
    assert budget.take(50) == pytest.approx(5)
    clock.now_s += 4.9
    assert budget.take(50) == pytest.approx(0.1)
    clock.now_s += 0.1
    assert budget.take(50) == 0
    assert budget.take(1) == pytest.approx(0.1)


def test_waiting_as_long_as_it_was_told_is_enough_whatever_the_numbers():
    clock = Clock()
    budget = Budget(777, clock)
    for tokens in (777, 1, 13, 200, 333, 776):
        clock.now_s += budget.take(tokens)
        assert budget.take(tokens) == 0 or tokens == 777
        budget.give_back(0)


def test_a_budget_saves_up_for_a_minute_at_most():
    clock = Clock()
    budget = Budget(600, clock)
    clock.now_s += 3600
    assert budget.take(600) == 0 and budget.take(600) == pytest.approx(60)
    budget.give_back(10_000)
    assert budget.take(600) == 0 and budget.take(1) > 0


def test_what_was_not_used_can_be_given_back():
    budget = Budget(600, Clock())
    budget.take(600)
    budget.give_back(100)
    assert budget.take(100) == 0 and budget.take(1) > 0


def test_more_than_a_minute_holds_is_granted_once_and_paid_afterwards():
    budget = Budget(600, Clock())
    assert budget.take(900) == 0
    assert budget.take(1) == pytest.approx(30.1)


def test_a_clock_that_steps_back_fills_nothing_and_breaks_nothing():
    clock = Clock()
    budget = Budget(600, clock)
    budget.take(600)
    clock.now_s -= 1000
    assert budget.take(10) == pytest.approx(1)


@pytest.mark.parametrize("tokens", [-1, 1.5, math.nan, True])
def test_amounts_that_are_no_numbers_of_tokens_are_refused(tokens):
    budget = Budget(600, Clock())
    for act in (budget.take, budget.give_back):
        with pytest.raises(ValueError, match="whole number"):
            act(tokens)
    assert budget.take(600) == 0


def test_threads_together_never_get_more_than_there_is():
    budget, granted = Budget(1000, Clock()), []
    start = threading.Barrier(8)

    def draw():
        start.wait()
        for _ in range(400):
            if budget.take(1) == 0:
                granted.append(1)

    threads = [threading.Thread(target=draw) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(granted) == 1000


def test_only_one_thread_at_a_time_is_at_the_books():
    inside, most = [], []

    def slow_clock():
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.002)
        inside.pop()
        return 100.0

    budget = Budget(1000, slow_clock)
    threads = [threading.Thread(target=act, args=(1,)) for act in (budget.take, budget.give_back) * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 9 and max(most) == 1
