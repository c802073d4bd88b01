"""Votes on their way to the store: on disk at once, delivered in the background and in order, each exactly once."""

import atexit
import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException

from data.errors import UserError
from registry import runs
from registry.votes import store as vote_store
from registry.votes.votes import Vote, from_json

ROOM = 1000
AGAIN_S = 15.0  # how long a store that is away is left alone, unless a new vote comes in
LAST_CALL_S = 10.0
NUDGE_S = 1.0
TRIES = 5  # of a vote that the store refuses although it answers, before the next one has its turn


class VoteOutbox:
    """Takes votes without a wait and delivers them from a thread of its own.

    A vote lies in ``folder`` as a file from the moment it is cast until the store has it, so that neither a store
    that is away nor the end of the process loses one: the next box with the same folder delivers it. One box a folder.

    Args:
        folder: where undelivered votes are kept; made when it is needed.
        room: the most votes that may wait at once.
    """

    def __init__(self, folder: Path, room: int = ROOM):
        self.folder, self.room = folder, room
        self.away = False
        self._uri = mlflow.get_tracking_uri()
        self._changed = threading.Condition()
        self._waiting: list[tuple[str, Vote]] = list(_read(folder))
        self._aside = 0
        self._tries = 0
        self._again_s = 0.0
        self._nudged = False
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="ballot-box", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def cast(self, vote: Vote) -> None:
        """Take ``vote`` and return at once.

        Raises:
            UserError: too many votes wait already.
        """
        name = f"{time.time_ns():020d}-{vote.vote_id}.json"
        with self._changed:
            if len(self._waiting) >= self.room:
                raise UserError("too many votes are waiting to be stored; vote again in a minute")
            with contextlib.suppress(OSError):  # on a full disk the vote still has its way to the store
                self.folder.mkdir(parents=True, exist_ok=True)
                part = self.folder / f".{name}.part"
                part.write_text(vote.to_json())
                os.replace(part, self.folder / name)
            self._waiting.append((name, vote))
            self._nudge()

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything cast is delivered; False where that takes longer than ``timeout_s``."""
        until = time.monotonic() + timeout_s
        with self._changed:
            while self._waiting and (left_s := until - time.monotonic()) > 0:
                self._nudge()
                self._changed.wait_for(lambda: not self._waiting, min(NUDGE_S, left_s))
            return not self._waiting and not self._aside

    def close(self, timeout_s: float = LAST_CALL_S) -> None:
        """Deliver what can be delivered within ``timeout_s`` and end; the rest stays in the folder."""
        atexit.unregister(self.close)
        self.flush(0 if self.away else timeout_s)
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _nudge(self) -> None:
        self._nudged, self._again_s = True, 0.0
        self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._closed and not self._due():
                    self._changed.wait(AGAIN_S)
                if self._closed:
                    return
                name, vote = self._waiting[0]
                self._nudged = False
            try:
                vote_store.record(vote, self._uri)
            except Exception as error:  # whatever it is, this thread and the vote have to outlive it
                self._keep(error)
            else:
                self._done(name)

    def _due(self) -> bool:
        return bool(self._waiting) and time.monotonic() >= self._again_s

    def _done(self, name: str) -> None:
        with contextlib.suppress(OSError):
            (self.folder / name).unlink(missing_ok=True)
        with self._changed:
            if self.away:
                print("The tracking server is back: votes are delivered again.")
            self.away, self._tries = False, 0
            self._waiting.pop(0)
            self._changed.notify_all()

    def _keep(self, error: Exception) -> None:
        """After a failure: wait for a store that is away; let a vote that is refused again and again stand aside."""
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        with self._changed:
            if runs.is_away(error) or isinstance(error, OSError):
                if not self.away:
                    print(f"The tracking server is away ({reason}). Votes are kept in {self.folder}.")
                self.away = True
            else:
                self._tries += 1
                if self._tries >= TRIES or not isinstance(error, MlflowException):
                    name, _ = self._waiting.pop(0)
                    self._aside, self._tries = self._aside + 1, 0
                    print(f"A vote could not be stored ({reason}). It is kept as {self.folder / name}.")
                    self._changed.notify_all()
                    return
            if not self._nudged:
                self._again_s = time.monotonic() + AGAIN_S


def _read(folder: Path) -> Iterator[tuple[str, Vote]]:
    """What earlier boxes could not deliver, oldest first; a file that holds no vote is left where it is."""
    for path in sorted(folder.glob("*.json")):
        with contextlib.suppress(OSError, ValueError):
            yield path.name, from_json(path.read_text())
