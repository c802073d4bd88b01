"""Buckets that fill up by a clock that the test holds."""

import pytest

from serve.http.rate_limits import TokenBucket, spelled


class Clock:
    s = 0.0

    def __call__(self):
        return self.s


@pytest.fixture
def clock():
    return Clock()


def test_a_bucket_gives_what_it_holds_and_then_says_how_long_to_wait(clock):
    bucket = TokenBucket(60, clock)
    assert [bucket.take(1) for _ in range(60)] == [0.0] * 60
    assert bucket.take(1) == pytest.approx(1)
    assert (bucket.left, bucket.full_s) == (0, 60)
    clock.s = 1.0
    assert bucket.take(1) == 0.0


def test_whoever_waits_as_long_as_told_is_served(clock):
    bucket = TokenBucket(7, clock)
    bucket.take(7)
    clock.s += bucket.take(3)
    assert bucket.take(3) == 0.0


def test_more_than_a_bucket_holds_is_given_by_a_full_one_which_is_in_debt_then(clock):
    bucket = TokenBucket(60, clock)
    assert bucket.take(90) == 0.0
    assert bucket.take(1) == pytest.approx(31)
    clock.s = 31.0
    assert bucket.take(1) == 0.0


def test_what_was_not_used_comes_back_but_never_more_than_it_holds(clock):
    bucket = TokenBucket(60, clock)
    bucket.take(50)
    bucket.correct(45)
    assert bucket.left == 55
    bucket.correct(1000)
    assert bucket.left == 60
    bucket.correct(-10)
    assert bucket.left == 50


@pytest.mark.parametrize(("seconds", "text"), [(0.12, "120ms"), (1.5, "1.5s"), (12, "12s"), (360, "6m0s"), (0, "0ms")])
def test_times_are_spelled_as_openai_does(seconds, text):
    assert spelled(seconds) == text
