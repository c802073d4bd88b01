"""Authentication by bearer keys.

Generated keys have 256 random bits, so one round of SHA-256 protects the stored digest; a key that the owner chose
(``PARLEY_SERVE_KEY``) is not stored at all.
"""

import hmac
import time

from sqlalchemy import select

from serve.store.auth import digest_of, new_key
from serve.store.database import Database
from serve.store.projects import DEFAULT, Caller
from serve.store.tables import keys

CACHE_S = 1.0  # for so long the stored keys are not read again
OWNER_KEY_NAME = "PARLEY_SERVE_KEY"


class Authenticator:
    """Finds the name and the project of a key.

    Args:
        database: where digests of keys are.
        owner_key: a key of the owner's own choice, or an empty text.
    """

    def __init__(self, database: Database, owner_key: str) -> None:
        self.database = database
        self._owner_digest = digest_of(owner_key) if owner_key else ""
        self._cached: list[tuple[Caller, str]] = []
        self._read_s = -CACHE_S

    def first_key(self) -> str:
        """A new key where there is none at all, else an empty text."""
        if self._owner_digest or self._stored():
            return ""
        self._read_s = -CACHE_S
        return new_key(self.database, "first")

    def caller_of(self, key: str) -> Caller | None:
        """Whose ``key`` it is, or None where it is unknown. The time it takes does not depend on the key's text."""
        digest, found = digest_of(key), None
        owner = [(Caller(DEFAULT, OWNER_KEY_NAME), self._owner_digest)] if self._owner_digest else []
        for caller, known in [*self._stored(), *owner]:
            if hmac.compare_digest(digest, known):
                found = caller
        return found

    def _stored(self) -> list[tuple[Caller, str]]:
        if time.monotonic() - self._read_s >= CACHE_S:
            with self.database.read() as connection:
                rows = connection.execute(select(keys.c.name, keys.c.digest, keys.c.project)).all()
            self._cached = [(Caller(project, name), digest) for name, digest, project in rows]
            self._read_s = time.monotonic()
        return self._cached
