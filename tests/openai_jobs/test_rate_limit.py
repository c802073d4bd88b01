"""Requests go out no faster than the server's headers allow, and no slower than they need."""

import asyncio

import pytest

from openai_jobs.rate_limit import RateLimiter, duration_s, retry_after_s


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("120ms", 0.12), ("6m0s", 360), ("1h2m3.5s", 3723.5), ("1.5", 1.5), ("2d", 172800), ("", None), ("soon", None),
     ("5 s", None), ("3x", None)],
)  # fmt: skip
def test_durations_are_read_as_openai_writes_them(text, seconds):
    assert duration_s(text) == (pytest.approx(seconds) if seconds is not None else None)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "50", "retry-after": "9"}, 0.05),
        ({"retry-after": "9"}, 9),
        ({"retry-after": "Thu, 01 Jan 1970 00:01:40 GMT"}, 40),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:10 GMT"}, 0),
        ({"retry-after": "later"}, None),
        ({"retry-after-ms": "-1"}, None),
        ({}, None),
    ],
)
def test_the_wait_that_a_server_asks_for_is_read_in_all_its_forms(headers, seconds):
    assert retry_after_s(headers, 60.0) == (pytest.approx(seconds) if seconds is not None else None)


def limits(remaining, reset, limit=100, kind="requests"):
    return {f"x-ratelimit-limit-{kind}": str(limit), f"x-ratelimit-remaining-{kind}": str(remaining),
            f"x-ratelimit-reset-{kind}": reset}  # fmt: skip


def test_a_server_without_limits_delays_nothing():
    async def work():
        limiter = RateLimiter()
        for _ in range(1000):
            await limiter.acquire()
        limiter.release({})
        return limiter

    limiter = asyncio.run(work())
    assert (limiter.pending, limiter.remaining, limiter.resume_at_s) == (999, None, 0.0)


def test_no_request_is_admitted_where_none_remains_until_one_is_refilled():
    now = [0.0]

    async def work():
        limiter = RateLimiter(lambda: now[0])
        await limiter.acquire()
        limiter.release(limits(0, "10s"))
        waiting = asyncio.create_task(limiter.acquire())
        await asyncio.sleep(0)
        assert not waiting.done() and limiter.resume_at_s == pytest.approx(0.1)  # 100 in 10 s
        now[0] = 0.2
        await asyncio.wait_for(waiting, 60)
        return limiter

    assert asyncio.run(work()).pending == 1


def test_requests_in_flight_count_against_what_remains():
    async def work():
        limiter = RateLimiter()
        for _ in range(5):
            await limiter.acquire()
        limiter.release(limits(6, "1s"))
        return limiter

    assert asyncio.run(work()).remaining == 2


def test_the_tighter_of_requests_and_tokens_counts():
    async def work():
        limiter = RateLimiter()
        await limiter.acquire()
        limiter.release({**limits(90, "1s"), **limits(500, "1s", 10_000, "tokens")}, tokens=100)
        return limiter

    assert asyncio.run(work()).remaining == 5
