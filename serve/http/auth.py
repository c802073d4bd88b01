"""Who may come in: bearer keys, of which only digests are kept.

The keys made here are 256 bits of chance, so one round of SHA-256 is enough to keep them; a key of the owner's own
choice (``PARLEY_SERVE_KEY``) is never written down at all.
"""

import hmac
import time

from sqlalchemy import select

from serve.store.auth import _digest, new_key
from serve.store.database import Database
from serve.store.tables import keys

FRESH_S = 1.0  # so long the list of keys is not read again


class Authenticator:
    """Tells keys from other texts.

    Args:
        given: a key of the owner's own choice, or an empty text.
    """

    def __init__(self, database: Database, given: str) -> None:
        self.database = database
        self._given = _digest(given) if given else ""
        self._known: list[tuple[str, str]] = []
        self._read_s = -FRESH_S

    def first_key(self) -> str:
        """A new key where there is none at all, else an empty text."""
        if self._given or self._stored():
            return ""
        self._read_s = -FRESH_S
        return new_key(self.database, "first")

    def name_of(self, key: str) -> str | None:
        """Whose ``key`` it is, or None. How long it takes does not tell how much of a key is right."""
        digest, found = _digest(key), None
        for name, known in [*self._stored(), *([("PARLEY_SERVE_KEY", self._given)] if self._given else [])]:
            if hmac.compare_digest(digest, known):
                found = name
        return found

    def _stored(self) -> list[tuple[str, str]]:
        if time.monotonic() - self._read_s >= FRESH_S:
            with self.database.read() as connection:
                found = connection.execute(select(keys.c.name, keys.c.digest)).all()
            self._known, self._read_s = [(name, digest) for name, digest in found], time.monotonic()
        return self._known
