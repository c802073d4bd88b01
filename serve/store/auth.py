"""API keys in the database, of which only digests are kept."""

import hashlib
import secrets

from sqlalchemy.exc import IntegrityError

from data.errors import UserError
from serve.store.database import Database, now_s
from serve.store.tables import keys


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


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
