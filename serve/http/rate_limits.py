"""Rate limits of API keys, in requests and tokens a minute, and the headers that report them."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from serve.errors import RequestError
from serve.http.budgets import Budgets
from serve.http.token_bucket import TokenBucket
from serve.store.projects import DEFAULT


@dataclass(frozen=True)
class Allowance:
    """What one key may use; ``budgets`` of its project, for a day."""

    requests: TokenBucket
    tokens: TokenBucket
    project: str = DEFAULT
    budgets: Budgets | None = None

    def take_request(self) -> None:
        """Take one request.

        Raises:
            RequestError: 429, the limit of requests is reached, of the key or of its project's budget.
        """
        _take(self.requests, 1, "requests")
        self._spend("requests", 1)

    def take_tokens(self, amount: int) -> None:
        """Take as many tokens as a chat completion is estimated to use.

        Raises:
            RequestError: 429, the limit of tokens is reached, of the key or of its project's budget.
        """
        _take(self.tokens, amount, "tokens")
        self._spend("tokens", amount)

    def take_training_tokens(self, amount: int) -> None:
        """Take as many tokens as a training is estimated to read.

        Raises:
            RequestError: 429, it is more than the project's budget of a day.
        """
        self._spend("training_tokens", amount)

    def return_training_tokens(self, amount: int) -> None:
        """Take back what ``take_training_tokens`` took, for a training that is not begun."""
        if self.budgets:
            self.budgets.correct(self.project, "training_tokens", amount, 0)

    def _spend(self, kind: str, amount: int) -> None:
        if self.budgets:
            self.budgets.take(self.project, kind, amount)

    def correct_tokens(self, taken: int, used: int) -> None:
        """Replace the estimate that was ``taken`` by the tokens that were ``used``."""
        self.tokens.correct(taken, used)
        if self.budgets:
            self.budgets.correct(self.project, "tokens", taken, used)

    def headers(self) -> dict[str, str]:
        """OpenAI's headers: limit, remaining and time until the reset, of requests and of tokens."""
        headers = {}
        for kind, bucket in (("requests", self.requests), ("tokens", self.tokens)):
            headers[f"x-ratelimit-limit-{kind}"] = str(bucket.capacity)
            headers[f"x-ratelimit-remaining-{kind}"] = str(bucket.remaining)
            headers[f"x-ratelimit-reset-{kind}"] = format_duration(bucket.reset_s)
        return headers


def _take(bucket: TokenBucket, amount: int, kind: str) -> None:
    wait_s = bucket.take(amount)
    if wait_s:
        raise RequestError(
            f"Rate limit reached: {bucket.capacity:,} {kind} per minute. Please try again in "
            f"{format_duration(wait_s)}.",
            429,
            type=kind,
            code="rate_limit_exceeded",
            headers={"retry-after": str(max(1, round(wait_s + 0.5))), "retry-after-ms": str(int(wait_s * 1000) + 1)},
        )


class RateLimits:
    """The allowance of each key, by the key's name."""

    def __init__(
        self, requests_per_minute: int, tokens_per_minute: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rates, self._clock = (requests_per_minute, tokens_per_minute), clock
        self._allowances: dict[str, Allowance] = {}
        self._lock = threading.Lock()

    def of(self, key: str) -> Allowance:
        """The allowance of the key called ``key``."""
        with self._lock:
            if key not in self._allowances:
                requests, tokens = (TokenBucket(rate, self._clock) for rate in self._rates)
                self._allowances[key] = Allowance(requests, tokens)
            return self._allowances[key]


def format_duration(seconds: float) -> str:
    """``120ms``, ``1.5s`` or ``6m0s``, as OpenAI writes it."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}m{int(rest)}s" if minutes else f"{rest:.3g}s"
