"""How many requests may be sent now, by the server's rate-limit headers."""

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime

UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
KINDS = ("requests", "tokens")


class RateLimiter:
    """Admits requests one by one. ``remaining``: how many more the server accepts, None where it doesn't say.

    A reply's ``remaining`` header may or may not count the requests in flight when it was written: they are taken not
    to be counted, so that the limit is kept rather than run into. Where nothing remains, the next request waits as
    long as an even refill takes for one, or as long as a 429 says.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.pending = 0
        self.remaining: float | None = None
        self.resume_at_s = 0.0
        self.refill_s = 0.0
        self.tokens_each = 1.0

    async def acquire(self) -> None:
        """Wait until one more request may be sent, and count it as in flight."""
        while True:
            wait_s = self.resume_at_s - self.clock()
            if wait_s <= 0 and (self.remaining is None or self.remaining >= 1):
                break
            if wait_s <= 0:  # nothing remained, and one has been refilled meanwhile
                self.remaining = 1.0
                break
            await asyncio.sleep(wait_s)
        self.pending += 1
        if self.remaining is not None:
            self.remaining -= 1
            if self.remaining < 1:
                self.pause(self.refill_s)

    def release(self, headers: Mapping[str, str], tokens: float = 0.0) -> None:
        """Count a request as answered, with the reply's rate-limit headers and the ``tokens`` that it took."""
        self.pending -= 1
        self.tokens_each = max(self.tokens_each, tokens)
        found = [self._limit(headers, kind) for kind in KINDS]
        known = [each for each in found if each is not None]
        if known:
            self.remaining, self.refill_s = min(known)
            if self.remaining < 1:
                self.pause(self.refill_s)

    def pause(self, seconds: float) -> None:
        """Send nothing for so long."""
        self.resume_at_s = max(self.resume_at_s, self.clock() + seconds)

    def _limit(self, headers: Mapping[str, str], kind: str) -> tuple[float, float] | None:
        """(requests that remain, seconds until one more does) by the headers of this kind; None without them."""
        limit, remaining = (_number(headers.get(f"x-ratelimit-{name}-{kind}")) for name in ("limit", "remaining"))
        if not limit or remaining is None:
            return None
        cost = 1.0 if kind == "requests" else self.tokens_each
        reset_s = duration_s(headers.get(f"x-ratelimit-reset-{kind}", "")) or 0.0
        used = max((limit - remaining) / cost, 1.0)
        return max(0.0, remaining / cost - self.pending), reset_s / used


def duration_s(text: str) -> float | None:
    """Seconds of ``120ms``, ``6m0s`` or ``1.5``; None where it is none of these."""
    text = text.strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|[smhd])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * UNIT_S[unit] for number, unit in parts)


def retry_after_s(headers: Mapping[str, str], now_s: float | None = None) -> float | None:
    """Seconds to wait by a reply's ``retry-after`` headers (milliseconds, seconds or a date); None without them."""
    exact = _number(headers.get("retry-after-ms"))
    if exact is not None:
        return exact / 1000
    text = headers.get("retry-after", "")
    if _number(text) is not None:
        return _number(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - (time.time() if now_s is None else now_s))
    except (TypeError, ValueError):
        return None


def _number(text: str | None) -> float | None:
    try:
        found = float(text) if text is not None else None
    except ValueError:
        return None
    return found if found is not None and 0 <= found < 1e12 else None
