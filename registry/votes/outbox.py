"""Votes on their way to the store: written to disk at once, sent in the background and in order, each exactly once."""

import atexit
import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException

from data.atomic_write import atomic_write
from data.errors import UserError
from registry.errors import is_unreachable
from registry.votes import store as vote_store
from registry.votes.votes import Vote, from_json

CAPACITY = 1000
RETRY_S = 15.0  # between two tries of a store that does not answer, unless a new vote is cast
CLOSE_TIMEOUT_S = 10.0
FLUSH_RETRY_S = 1.0
TRIES = 5  # of a vote that the store rejects, before the next one is tried


class VoteOutbox:
    """Accepts votes without waiting and sends them from a thread of its own.

    A vote is a file in ``folder`` from the moment it is cast until the store has it, so that neither a store that does
    not answer nor the end of the process loses one: the next outbox of the same folder sends it. One outbox a folder.

    Args:
        folder: where unsent votes are kept; made when it is needed.
        capacity: the most votes that may wait at once.
    """

    def __init__(self, folder: Path, capacity: int = CAPACITY) -> None:
        self.folder, self.capacity = folder, capacity
        self.is_offline = False
        self._uri = mlflow.get_tracking_uri()
        self._changed = threading.Condition()
        self._waiting: list[tuple[str, Vote]] = list(_read(folder))
        self._rejected = 0
        self._tries = 0
        self._retry_at_s = 0.0
        self._woken = False
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="vote-outbox", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def add(self, vote: Vote) -> None:
        """Accept ``vote`` and return at once.

        Raises:
            UserError: too many votes wait already.
        """
        name = f"{time.time_ns():020d}-{vote.vote_id}.json"
        with self._changed:
            if len(self._waiting) >= self.capacity:
                raise UserError("too many votes are waiting to be stored; vote again in a minute")
            with contextlib.suppress(OSError):  # on a full disk the vote is still sent
                self.folder.mkdir(parents=True, exist_ok=True)
                with atomic_write(self.folder / name) as file:
                    file.write_text(vote.to_json())
            self._waiting.append((name, vote))
            self._wake()

    def flush(self, timeout_s: float) -> bool:
        """Wait until all votes are sent; False where that takes longer than ``timeout_s``."""
        until = time.monotonic() + timeout_s
        with self._changed:
            while self._waiting and (left_s := until - time.monotonic()) > 0:
                self._wake()
                self._changed.wait_for(lambda: not self._waiting, min(FLUSH_RETRY_S, left_s))
            return not self._waiting and not self._rejected

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Send what can be sent within ``timeout_s`` and end; the rest stays in the folder."""
        atexit.unregister(self.close)
        self.flush(0 if self.is_offline else timeout_s)
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _wake(self) -> None:
        self._woken, self._retry_at_s = True, 0.0
        self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._closed and not self._due():
                    self._changed.wait(RETRY_S)
                if self._closed:
                    return
                name, vote = self._waiting[0]
                self._woken = False
            try:
                vote_store.record(vote, self._uri)
            except Exception as error:  # whatever it is, the thread and the vote must survive it
                self._keep(error)
            else:
                self._done(name)

    def _due(self) -> bool:
        return bool(self._waiting) and time.monotonic() >= self._retry_at_s

    def _done(self, name: str) -> None:
        with contextlib.suppress(OSError):
            (self.folder / name).unlink(missing_ok=True)
        with self._changed:
            if self.is_offline:
                print("The tracking server is back: votes are sent again.")
            self.is_offline, self._tries = False, 0
            self._waiting.pop(0)
            self._changed.notify_all()

    def _keep(self, error: Exception) -> None:
        """After a failure: retry later where the store does not answer; skip a vote that it keeps rejecting."""
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        with self._changed:
            if is_unreachable(error) or isinstance(error, OSError):
                if not self.is_offline:
                    print(f"The tracking server does not answer ({reason}). Votes are kept in {self.folder}.")
                self.is_offline = True
            else:
                self._tries += 1
                if self._tries >= TRIES or not isinstance(error, MlflowException):
                    self._skip(reason)
                    return
            if not self._woken:
                self._retry_at_s = time.monotonic() + RETRY_S

    def _skip(self, reason: str) -> None:
        """Stop trying the first vote, whose file stays."""
        name, _ = self._waiting.pop(0)
        self._rejected, self._tries = self._rejected + 1, 0
        print(f"A vote could not be stored ({reason}). It is kept as {self.folder / name}.")
        self._changed.notify_all()


def _read(folder: Path) -> Iterator[tuple[str, Vote]]:
    """Votes that earlier outboxes could not send, oldest first; a file that holds no vote is left unchanged."""
    for path in sorted(folder.glob("*.json")):
        with contextlib.suppress(OSError, ValueError):
            yield path.name, from_json(path.read_text())
