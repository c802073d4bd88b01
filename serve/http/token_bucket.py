"""The token bucket: a rate limit that lets unused capacity add up for a minute."""

import threading
import time
from collections.abc import Callable

ROUNDING_ERROR = 1e-6  # of the refilling: nobody has to wait for so little


class TokenBucket:
    """A capacity that refills at a steady rate, up to one minute's worth. Thread-safe.

    An amount above the capacity is granted by a full bucket, whose level is negative afterwards: no request waits for
    ever, and those after it wait for what it took.

    Args:
        per_minute: the capacity, and what is refilled in a minute; a whole number, at least 1.
        clock: seconds; where it steps back, nothing is refilled.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        if _checked(per_minute) < 1:
            raise ValueError(f"per_minute must be at least 1, not {per_minute}")
        self.capacity, self._clock = per_minute, clock
        self._lock = threading.Lock()
        self._level, self._refilled_s = float(per_minute), clock()

    def take(self, amount: int) -> float:
        """Take ``amount`` and return 0, or take nothing and return the seconds after which it can be taken."""
        with self._lock:
            self._refill()
            missing = min(_checked(amount), self.capacity) - self._level
            if missing > ROUNDING_ERROR:
                return missing * 60 / self.capacity
            self._level -= amount
            return 0.0

    def correct(self, taken: int, used: int) -> None:
        """Replace ``taken``, an estimate, by what was ``used``: give back the rest, or take more, into debt."""
        with self._lock:
            self._refill()
            self._level = min(float(self.capacity), self._level + _checked(taken) - _checked(used))

    @property
    def remaining(self) -> int:
        """What can be taken now."""
        with self._lock:
            self._refill()
            return max(0, int(self._level))

    @property
    def reset_s(self) -> float:
        """Seconds until it is full."""
        with self._lock:
            self._refill()
            return (self.capacity - self._level) * 60 / self.capacity

    def _refill(self) -> None:
        now_s = self._clock()
        refilled = max(0.0, now_s - self._refilled_s) * self.capacity / 60
        self._level, self._refilled_s = min(float(self.capacity), self._level + refilled), now_s


def _checked(amount: int) -> int:
    if not isinstance(amount, int) or isinstance(amount, bool) or amount < 0:
        raise ValueError(f"an amount is a whole number, at least 0, not {amount!r}")
    return amount
