"""Buckets that refill by a clock which the test sets."""

import math
import threading
import time

import pytest

from serve.http.token_bucket import TokenBucket


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


def test_a_bucket_grants_its_capacity_and_then_returns_how_long_to_wait(clock):
    bucket = TokenBucket(60, clock)
    assert [bucket.take(1) for _ in range(60)] == [0.0] * 60
    assert bucket.take(1) == pytest.approx(1)
    assert (bucket.remaining, bucket.reset_s) == (0, 60)
    clock.now_s += 1.0
    assert bucket.take(1) == 0.0


def test_the_wait_shrinks_as_the_bucket_refills(clock):
    bucket = TokenBucket(600, clock)
    assert bucket.take(600) == 0
    assert bucket.take(50) == pytest.approx(5)
    clock.now_s += 4.9
    assert bucket.take(50) == pytest.approx(0.1)
    clock.now_s += 0.1
    assert bucket.take(50) == 0
    assert bucket.take(1) == pytest.approx(0.1)


@pytest.mark.parametrize("capacity", [7, 777])
def test_waiting_as_long_as_returned_is_enough_whatever_the_numbers(clock, capacity):
    bucket = TokenBucket(capacity, clock)
    for share in (1, 1 / capacity, 0.02, 0.26, 0.43, 0.999):
        amount = max(1, round(share * capacity))
        clock.now_s += bucket.take(amount)
        assert bucket.take(amount) == 0 or amount == capacity
        bucket.correct(0, 0)


def test_whoever_waits_as_long_as_returned_is_granted_the_amount(clock):
    bucket = TokenBucket(7, clock)
    bucket.take(7)
    clock.now_s += bucket.take(3)
    assert bucket.take(3) == 0.0


def test_a_bucket_adds_up_one_minute_at_most(clock):
    bucket = TokenBucket(600, clock)
    clock.now_s += 3600
    assert bucket.take(600) == 0 and bucket.take(600) == pytest.approx(60)
    bucket.correct(10_000, 0)
    assert bucket.take(600) == 0 and bucket.take(1) > 0


def test_an_estimate_is_corrected_in_both_directions_and_never_above_the_capacity(clock):
    bucket = TokenBucket(60, clock)
    bucket.take(50)
    bucket.correct(45, 0)
    assert bucket.remaining == 55
    bucket.correct(1000, 0)
    assert bucket.remaining == 60
    bucket.correct(10, 20)
    assert bucket.remaining == 50
    bucket.correct(0, 80)
    assert bucket.remaining == 0 and bucket.take(1) == pytest.approx(31)


def test_what_was_not_used_can_be_taken_again(clock):
    bucket = TokenBucket(600, clock)
    bucket.take(600)
    bucket.correct(100, 0)
    assert bucket.take(100) == 0 and bucket.take(1) > 0


@pytest.mark.parametrize(("capacity", "amount", "wait_s"), [(60, 90, 31), (600, 900, 30.1)])
def test_more_than_the_capacity_is_granted_once_and_paid_afterwards(clock, capacity, amount, wait_s):
    bucket = TokenBucket(capacity, clock)
    assert bucket.take(amount) == 0.0
    assert bucket.take(1) == pytest.approx(wait_s)
    clock.now_s += wait_s
    assert bucket.take(1) == 0.0


def test_a_clock_that_steps_back_refills_nothing_and_breaks_nothing(clock):
    bucket = TokenBucket(600, clock)
    bucket.take(600)
    clock.now_s -= 1000
    assert bucket.take(10) == pytest.approx(1)


@pytest.mark.parametrize("amount", [-1, 1.5, math.nan, True])
def test_amounts_that_are_no_counts_are_refused(clock, amount):
    bucket = TokenBucket(600, clock)
    for call in (bucket.take, lambda taken: bucket.correct(taken, 0), lambda used: bucket.correct(0, used)):
        with pytest.raises(ValueError, match="whole number"):
            call(amount)
    assert bucket.take(600) == 0
    with pytest.raises(ValueError):
        TokenBucket(0, clock)


def test_threads_together_never_get_more_than_there_is(clock):
    bucket, granted = TokenBucket(1000, clock), []
    start = threading.Barrier(8)

    def take():
        start.wait()
        for _ in range(400):
            if bucket.take(1) == 0:
                granted.append(1)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(granted) == 1000


def test_only_one_thread_at_a_time_changes_the_level():
    inside, most = [], []

    def slow_clock():
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.002)
        inside.pop()
        return 100.0

    bucket = TokenBucket(1000, slow_clock)
    calls = (lambda: bucket.take(1), lambda: bucket.correct(1, 0)) * 4
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 9 and max(most) == 1
