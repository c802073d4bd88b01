"""Creating a paid resource once: it is logged before it is requested, and looked up before it is requested again.

The SDK sends no idempotency key, so a request that was sent and not answered may have been carried out. Whoever
continues after it (the same process after a time-out, or the next one after a kill) must find out first.
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

#: Waits between look-ups after a request whose outcome is unknown: by their end a server shows it, or never will.
SETTLE_S = (1.0, 2.0, 4.0, 8.0)
ATTEMPTS = 3
Pause = Callable[[float], None]


class IdempotencyLog:
    """Requests that were begun and whether their outcome is known, one JSON object a line.

    A torn last line counts as not written.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.path, self.clock = path, clock
        self._open: dict[str, float] = {}
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            self._apply(entry["what"], entry["at"], entry["done"])

    def _apply(self, name: str, at_s: float, done: bool) -> None:
        if done:
            self._open.pop(name, None)
        else:
            self._open[name] = at_s

    def age_s(self, name: str) -> float | None:
        """Seconds since the request ``name`` was begun; None if it was not, or if its outcome is known."""
        return max(0.0, self.clock() - self._open[name]) if name in self._open else None

    def write(self, name: str, done: bool) -> None:
        """Log that ``name`` is about to be requested, or that its outcome is known; on disk when this returns."""
        self._apply(name, self.clock(), done)
        append(self.path, [json.dumps({"what": name, "at": self.clock(), "done": done})])


def append(path: Path, lines: Sequence[str]) -> None:
    """Append lines to a file and fsync; a torn line that a killed process left is ended first."""
    with path.open("ab+") as out:
        torn = b""
        if out.tell():
            out.seek(-1, os.SEEK_END)
            torn = b"" if out.read(1) == b"\n" else b"\n"
        out.write(torn + "".join(line + "\n" for line in lines).encode())
        out.flush()
        os.fsync(out.fileno())


def once(
    name: str,
    find: Callable[[], T | None],
    create: Callable[[], T],
    log: IdempotencyLog,
    pause: Pause = time.sleep,
) -> T:
    """What ``find`` finds, or else what ``create`` creates: one in all, whatever is killed or lost in between.

    Raises:
        ApiError: the server refuses, or can't be searched for what it has.
        UserError: it keeps failing in a way that leaves open whether it created one.
    """
    found = find()
    age_s = log.age_s(name)
    if found is None and age_s is not None:
        found = _find_after(find, pause, SETTLE_S if age_s < sum(SETTLE_S) else ())
    failure = None
    for _ in range(ATTEMPTS):
        if found is not None:
            break
        log.write(name, done=False)
        try:
            found = create()
        except ApiError as error:
            if error.is_rejection:
                log.write(name, done=True)
                raise
            failure = error
            found = _find_after(find, pause, SETTLE_S)
    if found is not None:
        log.write(name, done=True)
        return found
    raise UserError(
        f"{failure}. It was tried {ATTEMPTS} times; go on later, and it is looked for before it is tried again"
    )


def _find_after(find: Callable[[], T | None], pause: Pause, waits_s: Sequence[float]) -> T | None:
    """What ``find`` finds after one of the waits; None if it finds nothing after the last."""
    for wait_s in waits_s:
        pause(wait_s)
        found = find()
        if found is not None:
            return found
    return None
