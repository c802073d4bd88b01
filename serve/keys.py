"""Who may come in: bearer keys, of which only digests are kept.

The keys made here are 256 bits of chance, so one round of SHA-256 is enough to keep them; a key of the owner's own
choice (``PARLEY_SERVE_KEY``) is never written down at all.
"""

import hashlib
import hmac
import secrets
import time

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from data.errors import UserError
from serve.database import Database, now_s
from serve.tables import keys

FRESH_S = 1.0  # so long the list of keys is not read again


def new_key(database: Database, name: str) -> str:
    """Make a key called ``name`` and return it; it can't be read again.

    Raises:
        UserError: the name is taken.
    """
    key = f"sk-parley-{secrets.token_urlsafe(32)}"
    try:
        with database.write() as connection:
            connection.execute(keys.insert().values(name=name, digest=_digest(key), created_at=now_s()))
    except IntegrityError as error:
        raise UserError(f"new_key: there is a key called {name} already; name another one, or drop that one") from error
    return key


def drop_key(database: Database, name: str) -> None:
    """Take the key called ``name`` back.

    Raises:
        UserError: there is none.
    """
    with database.write() as connection:
        if not connection.execute(keys.delete().where(keys.c.name == name)).rowcount:
            raise UserError(f"drop_key: there is no key called {name}")


def change(url: str, make: str, drop: str) -> None:
    """Make and print the key called ``make``, take back the one called ``drop``; empty texts name none.

    Raises:
        UserError: the one name is taken, the other is not there, or the database at ``url`` can't be opened.
    """
    database = Database(url)
    if make:
        print(new_key(database, make))
    if drop:
        drop_key(database, drop)
    database.close()


class Doorkeeper:
    """Tells keys from other texts.

    Args:
        given: a key of the owner's own choice, or an empty text.
    """

    def __init__(self, database: Database, given: str):
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


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
