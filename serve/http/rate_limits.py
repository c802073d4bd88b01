"""How much one key may ask for in a minute, and the headers that tell a client how much is left."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from serve.errors import RequestError


class TokenBucket:
    """A budget that fills up at a steady rate, to a minute's worth at most.

    Args:
        per_minute: how fast it fills, and how much it holds.
        clock: seconds that never run backwards.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic):
        self.holds, self._clock = per_minute, clock
        self._left, self._filled_s = float(per_minute), clock()

    def take(self, amount: int) -> float:
        """Take ``amount`` and return 0, or take nothing and return the seconds after which it may work.

        More than the bucket holds is given out of a full one, which is in debt then: no request waits for ever.
        """
        self._fill()
        missing = min(amount, self.holds) - self._left
        if missing > 1e-6:
            return missing * 60 / self.holds
        self._left -= amount
        return 0.0

    def correct(self, amount: int) -> None:
        """Give back ``amount`` that was taken and not used; take it where it is negative."""
        self._fill()
        self._left = min(self.holds, self._left + amount)

    @property
    def left(self) -> int:
        """What could be taken now."""
        self._fill()
        return max(0, int(self._left))

    @property
    def full_s(self) -> float:
        """Seconds until it is full again."""
        self._fill()
        return max(0.0, (self.holds - self._left) * 60 / self.holds)

    def _fill(self) -> None:
        now_s = self._clock()
        self._left = min(self.holds, self._left + (now_s - self._filled_s) * self.holds / 60)
        self._filled_s = now_s


@dataclass
class Allowance:
    """The buckets of one key."""

    requests: TokenBucket
    tokens: TokenBucket
    lock: threading.Lock

    def take_request(self) -> None:
        """Take one request.

        Raises:
            Fault: this minute's are used up.
        """
        self._take(self.requests, 1, "requests")

    def take_tokens(self, amount: int) -> None:
        """Take tokens, as many as an answer may have.

        Raises:
            Fault: this minute's are used up.
        """
        self._take(self.tokens, amount, "tokens")

    def correct_tokens(self, amount: int) -> None:
        """Give back tokens that were taken and not used."""
        with self.lock:
            self.tokens.correct(amount)

    def _take(self, bucket: TokenBucket, amount: int, kind: str) -> None:
        with self.lock:
            wait_s = bucket.take(amount)
        if wait_s:
            raise RequestError(
                f"Rate limit reached: {bucket.holds:,} {kind} per minute. Please try again in {spelled(wait_s)}.",
                429,
                type=kind,
                code="rate_limit_exceeded",
                headers={
                    "retry-after": str(max(1, round(wait_s + 0.5))),
                    "retry-after-ms": str(int(wait_s * 1000) + 1),
                },
            )

    def headers(self) -> dict[str, str]:
        """OpenAI's headers."""
        with self.lock:
            found = {}
            for kind, bucket in (("requests", self.requests), ("tokens", self.tokens)):
                found[f"x-ratelimit-limit-{kind}"] = str(bucket.holds)
                found[f"x-ratelimit-remaining-{kind}"] = str(bucket.left)
                found[f"x-ratelimit-reset-{kind}"] = spelled(bucket.full_s)
            return found


class Limits:
    """The allowance of every key, by its name."""

    def __init__(self, requests_per_minute: int, tokens_per_minute: int, clock: Callable[[], float] = time.monotonic):
        self._rates, self._clock = (requests_per_minute, tokens_per_minute), clock
        self._found: dict[str, Allowance] = {}
        self._lock = threading.Lock()

    def of(self, key: str) -> Allowance:
        """That of the key called ``key``."""
        with self._lock:
            if key not in self._found:
                requests, tokens = (TokenBucket(rate, self._clock) for rate in self._rates)
                self._found[key] = Allowance(requests, tokens, threading.Lock())
            return self._found[key]


def spelled(seconds: float) -> str:
    """``120ms``, ``1.5s`` or ``6m0s``, as OpenAI writes it."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}m{int(rest)}s" if minutes else f"{rest:.3g}s"
