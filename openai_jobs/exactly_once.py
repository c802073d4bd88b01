"""Doing a paid thing once: it is written down before it is asked for, and looked up before it is asked for again.

The SDK sends no idempotency key, so a request that was sent and not answered may have been carried out. Whoever goes
on after it (the same process after a time-out, or the next one after a kill) must find out first.
"""

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from data.errors import UserError
from openai_jobs.endpoint import ApiError

T = TypeVar("T")

#: Waits between look-ups after a request whose end is unknown: by then a server has it, or never will.
SETTLE_S = (1.0, 2.0, 4.0, 8.0)
ATTEMPTS = 3
Pause = Callable[[float], None]


class IdempotencyLog:
    """What was begun and what came of it, one JSON object a line; a torn last line is as if not written."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time):
        self.path, self.clock = path, clock
        self._open: dict[str, float] = {}
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
            try:
                found = json.loads(line)
            except ValueError:
                continue
            self._take(found["what"], found["at"], found["done"])

    def _take(self, what: str, at: float, done: bool) -> None:
        if done:
            self._open.pop(what, None)
        else:
            self._open[what] = at

    def age_s(self, what: str) -> float | None:
        """Seconds since ``what`` was begun, or None where it wasn't, or where its end is known."""
        return max(0.0, self.clock() - self._open[what]) if what in self._open else None

    def write(self, what: str, done: bool) -> None:
        """Note that ``what`` is about to be asked for, or that its end is known; it is on the disk then."""
        self._take(what, self.clock(), done)
        append(self.path, [json.dumps({"what": what, "at": self.clock(), "done": done})])


def append(path: Path, lines: Sequence[str]) -> None:
    """Add lines to a file, onto the disk; half a line that a killed process left is closed first."""
    with path.open("ab+") as out:
        torn = b""
        if out.tell():
            out.seek(-1, os.SEEK_END)
            torn = b"" if out.read(1) == b"\n" else b"\n"
        out.write(torn + "".join(line + "\n" for line in lines).encode())
        out.flush()
        os.fsync(out.fileno())


def once(
    what: str,
    look: Callable[[], T | None],
    make: Callable[[], T],
    ledger: IdempotencyLog,
    pause: Pause = time.sleep,
) -> T:
    """What ``look`` finds, or else what ``make`` makes: one in all, whatever is killed or lost on the way.

    Raises:
        Refused: the server won't, or can't be asked whether it has.
        UserError: it keeps failing in a way that leaves open whether it did it.
    """
    found = look()
    age_s = ledger.age_s(what)
    if found is None and age_s is not None:
        found = _settled(look, pause, SETTLE_S if age_s < sum(SETTLE_S) else ())
    refused = None
    for _ in range(ATTEMPTS):
        if found is not None:
            ledger.write(what, done=True)
            return found
        ledger.write(what, done=False)
        try:
            found = make()
        except ApiError as error:
            if error.certain:
                ledger.write(what, done=True)
                raise
            refused = error
            found = _settled(look, pause, SETTLE_S)
    if found is not None:
        ledger.write(what, done=True)
        return found
    raise UserError(
        f"{refused}. It was tried {ATTEMPTS} times; go on later, and it is looked for before it is tried again"
    )


def _settled(look: Callable[[], T | None], pause: Pause, waits_s: Sequence[float]) -> T | None:
    for wait_s in waits_s:
        pause(wait_s)
        found = look()
        if found is not None:
            return found
    return None
