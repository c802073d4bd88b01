"""The database: short transactions; on SQLite those that write are carried out one after the other."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, Table, create_engine, event, inspect, make_url, select, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from data.errors import UserError, first_line
from serve.errors import RequestError
from serve.store.tables import MIGRATED, VERSION, facts, schema

TIMEOUT_S = 30.0
POOL: dict[str, Any] = {"pool_size": 10, "max_overflow": 40}
#: The advisory lock on PostgreSQL of the one server that runs the jobs.
OWNER_LOCK = 0x7061726C6579


class Database:
    """The database at ``url``, which several processes can open at once; its tables are created where they are missing.

    Raises:
        UserError: ``url`` is malformed, the database can't be opened, or a later version of Parley created it.
    """

    def __init__(self, url: str) -> None:
        self.url = url.replace("postgresql://", "postgresql+psycopg://", 1)
        self.is_sqlite = url.startswith("sqlite")
        shown = _without_password(self.url)
        try:
            self.engine = _engine(self.url, self.is_sqlite)
            with self.write() as connection:
                self._create(connection)
        except ModuleNotFoundError as error:
            raise UserError(f"database: {error.name} is missing; pip install -r requirements-postgres.txt") from error
        except SQLAlchemyError as error:
            line = first_line(getattr(error, "orig", None) or error)
            raise UserError(f"database {shown} can't be opened: {line}") from error

    def _create(self, connection: Connection) -> None:
        if not self.is_sqlite:  # two processes that create the same tables at once would fail
            connection.execute(text(f"select pg_advisory_xact_lock({OWNER_LOCK + 1})"))
        schema.create_all(connection)
        found = connection.execute(select(facts.c.value).where(facts.c.name == "version")).scalar()
        if found is None:
            connection.execute(facts.insert().values(name="version", value=VERSION))
        elif found == "1":
            self._migrate(connection)
        elif found != VERSION:
            raise UserError(f"database {_without_password(self.url)} has version {found}; this server needs {VERSION}")

    def _migrate(self, connection: Connection) -> None:
        """Change the tables of version 1 to those of version 2: all rows belong to the default project."""
        for table in MIGRATED:
            known = {column["name"] for column in inspect(connection).get_columns(table.name)}
            if "project" not in known:
                kind = "VARCHAR(64) DEFAULT 'default' NOT NULL"
                connection.execute(text(f"ALTER TABLE {table.name} ADD COLUMN project {kind}"))
        connection.execute(facts.update().where(facts.c.name == "version").values(value=VERSION))

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads, from one snapshot."""
        with self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that may write; it is committed as a whole, or rolled back by an exception. Keep it short."""
        with self.engine.connect() as connection, connection.execution_options(writes=True).begin():
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @contextmanager
    def owned(self) -> Iterator[bool]:
        """Whether this process holds the lock of the one server that runs the jobs, as long as the context lasts.

        On SQLite a file lock of the server's has this role, and this is always True.
        """
        if self.is_sqlite:
            yield True
            return
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            yield bool(connection.execute(text(f"select pg_try_advisory_lock({OWNER_LOCK})")).scalar())


def _without_password(url: str) -> str:
    try:
        return make_url(url).render_as_string(hide_password=True)
    except (ArgumentError, ValueError) as error:
        raise UserError(
            f"database: the URL is malformed ({first_line(error)}); write sqlite:///FILE or postgresql://USER@HOST/NAME"
        ) from error


def _engine(url: str, is_sqlite: bool) -> Engine:
    if not is_sqlite:
        timeout: dict[str, Any] = {"connect_timeout": int(TIMEOUT_S)}
        return create_engine(url, **POOL, pool_pre_ping=True, connect_args=timeout)
    engine = create_engine(url, **POOL, connect_args={"timeout": TIMEOUT_S})

    @event.listens_for(engine, "connect")
    def _opened(connection: Any, record: object) -> None:
        connection.isolation_level = None  # the driver begins no transactions of its own
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        # Without it, a transaction that reads first and then writes fails where another one has written in between.
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def now_s() -> int:
    """Unix time in seconds."""
    return int(time.time())


def page(
    connection: Connection,
    table: Table,
    wanted: Sequence[Any] = (),
    after: str | None = None,
    limit: int = 20,
    newest_first: bool = True,
) -> tuple[list[RowMapping], bool]:
    """(rows of ``table`` that meet all conditions ``wanted``, after the row with id ``after``; whether more follow).

    Raises:
        RequestError: there is no row ``after``.
    """
    query = select(table).where(*wanted)
    if after is not None:
        at = connection.execute(select(table.c.number).where(table.c.id == after)).scalar()
        if at is None:
            raise RequestError(f"after: there is no {after!r}", param="after")
        query = query.where(table.c.number < at if newest_first else table.c.number > at)
    query = query.order_by(table.c.number.desc() if newest_first else table.c.number).limit(limit + 1)
    found = list(connection.execute(query).mappings())
    return found[:limit], len(found) > limit


def paged(data: list[dict[str, Any]], more: bool) -> dict[str, Any]:
    """OpenAI's list of a page of objects, with the ids of the first and the last."""
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": more}
