"""What the rate limits of a key answer."""

import pytest

from serve.errors import RequestError
from serve.http.rate_limits import RateLimits, format_duration


class Clock:
    s = 0.0

    def __call__(self):
        return self.s


def test_each_key_has_limits_of_its_own_and_headers_that_report_them():
    limits = RateLimits(2, 600, Clock())
    limits.of("a").take_request()
    limits.of("a").take_tokens(100)
    limits.of("a").correct_tokens(100, 40)
    assert limits.of("a").headers() == {
        "x-ratelimit-limit-requests": "2", "x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": "30s",
        "x-ratelimit-limit-tokens": "600", "x-ratelimit-remaining-tokens": "560", "x-ratelimit-reset-tokens": "4s",
    }  # fmt: skip
    assert limits.of("b").headers()["x-ratelimit-remaining-requests"] == "2"


def test_a_limit_that_is_reached_is_refused_with_the_time_to_wait():
    allowance = RateLimits(2, 600, Clock()).of("a")
    allowance.take_tokens(600)
    with pytest.raises(RequestError, match="600 tokens per minute. Please try again in 1.5s") as refusal:
        allowance.take_tokens(15)
    assert (refusal.value.status, refusal.value.code, refusal.value.type) == (429, "rate_limit_exceeded", "tokens")
    assert refusal.value.headers == {"retry-after": "2", "retry-after-ms": "1501"}


@pytest.mark.parametrize(("seconds", "text"), [(0.12, "120ms"), (1.5, "1.5s"), (12, "12s"), (360, "6m0s"), (0, "0ms")])
def test_times_are_spelled_as_openai_does(seconds, text):
    assert format_duration(seconds) == text
