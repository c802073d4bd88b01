"""How many requests may be sent now, as the server's rate-limit headers have it."""

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime

UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
KINDS = ("requests", "tokens")


class RateLimiter:
    """Lets requests through one by one. ``left``: how many the server will still take, None where it doesn't say.

    A reply's ``remaining`` may or may not count the requests that were on their way when it was written: it is taken
    to count none of them, so that a limit is kept, not tried. Where nothing is left, the next one waits as long as an
    even refill takes for one, or as long as a 429 says.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self.clock = clock
        self.flying = 0
        self.left: float | None = None
        self.resume_at = 0.0
        self.refill_s = 0.0
        self.tokens_each = 1.0

    async def enter(self) -> None:
        """Wait until one more request may be sent, and count it as on its way."""
        while True:
            wait_s = self.resume_at - self.clock()
            if wait_s <= 0 and (self.left is None or self.left >= 1):
                break
            if wait_s <= 0:  # nothing is left, and the next one has been refilled meanwhile
                self.left = 1.0
                break
            await asyncio.sleep(wait_s)
        self.flying += 1
        if self.left is not None:
            self.left -= 1
            if self.left < 1:
                self.resume_at = max(self.resume_at, self.clock() + self.refill_s)

    def leave(self, headers: Mapping[str, str], tokens: float = 0.0) -> None:
        """A reply has come that took so many tokens: take in what its headers say."""
        self.flying -= 1
        self.tokens_each = max(self.tokens_each, tokens)
        found = [self._kind(headers, kind) for kind in KINDS]
        known = [each for each in found if each is not None]
        if known:
            self.left, self.refill_s = min(known)
            if self.left < 1:
                self.resume_at = max(self.resume_at, self.clock() + self.refill_s)

    def hold(self, seconds: float) -> None:
        """Send nothing for so long: the server said so."""
        self.resume_at = max(self.resume_at, self.clock() + seconds)

    def _kind(self, headers: Mapping[str, str], kind: str) -> tuple[float, float] | None:
        limit, remaining = (_number(headers.get(f"x-ratelimit-{name}-{kind}")) for name in ("limit", "remaining"))
        if not limit or remaining is None:
            return None
        cost = 1.0 if kind == "requests" else self.tokens_each
        reset_s = duration_s(headers.get(f"x-ratelimit-reset-{kind}", "")) or 0.0
        gone = max((limit - remaining) / cost, 1.0)
        return max(0.0, remaining / cost - self.flying), reset_s / gone


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
    """How long the server says to wait, in milliseconds, in seconds or until a date; None where it doesn't say."""
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
