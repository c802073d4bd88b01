"""API keys in the database, as digests."""

import hashlib
import secrets

from sqlalchemy.exc import IntegrityError

from data.errors import UserError
from serve.store.database import Database, now_s
from serve.store.tables import keys


def new_key(database: Database, name: str) -> str:
    """Create a key called ``name`` and return it; only its digest is stored.

    Raises:
        UserError: the name is taken.
    """
    key = f"sk-parley-{secrets.token_urlsafe(32)}"
    try:
        with database.write() as connection:
            connection.execute(keys.insert().values(name=name, digest=digest_of(key), created_at=now_s()))
    except IntegrityError as error:
        raise UserError(f"new_key: there is a key called {name} already; name another one, or drop that one") from error
    return key


def drop_key(database: Database, name: str) -> None:
    """Delete the key called ``name``.

    Raises:
        UserError: there is no such key.
    """
    with database.write() as connection:
        if not connection.execute(keys.delete().where(keys.c.name == name)).rowcount:
            raise UserError(f"drop_key: there is no key called {name}")


def change_keys(url: str, create: str, drop: str) -> None:
    """Create and print the key called ``create``, delete the one called ``drop``; empty texts name none.

    Raises:
        UserError: the one name is taken, the other is not there, or the database at ``url`` can't be opened.
    """
    database = Database(url)
    if create:
        print(new_key(database, create))
    if drop:
        drop_key(database, drop)
    database.close()


def digest_of(key: str) -> str:
    """SHA-256 of the key, in hexadecimal digits."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
