"""Daily budgets of projects in requests, tokens and trained tokens: counted in memory, kept in the database."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select

from serve.errors import NO_RETRY, RequestError
from serve.store import projects
from serve.store.database import Database
from serve.store.tables import usage

FRESH_S = 1.0  # for so long the settings of a project are not read again, and its counts not written


def utc_day() -> str:
    """Today in UTC, as 2026-11-28."""
    return datetime.now(UTC).date().isoformat()


@dataclass
class _Spent:
    """What a project has used on ``day``; ``limits`` as its settings say."""

    day: str
    used: dict[str, int]
    limits: dict[str, int]
    read_s: float
    changed: bool = False


class Budgets:
    """The budgets of all projects.

    Args:
        today: the day that counts are of.
    """

    def __init__(self, database: Database, today: Callable[[], str] = utc_day) -> None:
        self._database, self._today = database, today
        self._spent: dict[str, _Spent] = {}
        self._lock = threading.Lock()

    def refresh(self, project: str) -> None:
        """Read the project's settings, and write its counts, where this was not done within ``FRESH_S`` seconds."""
        with self._lock:
            known, day = self._spent.get(project), self._today()
            if known and known.day == day and time.monotonic() - known.read_s < FRESH_S:
                return
        self.flush()
        with self._database.read() as connection:
            limits = projects.settings_of(connection, project)["budget"]
            query = select(usage.c.kind, usage.c.amount).where(usage.c.project == project, usage.c.day == day)
            stored = {kind: amount for kind, amount in connection.execute(query).all()}
        with self._lock:
            found = self._spent.get(project)
            used = found.used if found and found.day == day else stored
            changed = bool(found and found.day == day and found.changed)
            self._spent[project] = _Spent(day, used, dict(limits), time.monotonic(), changed)

    def take(self, project: str, kind: str, amount: int) -> None:
        """Count ``amount`` of ``kind`` for the project.

        Raises:
            RequestError: 429, it is more than is left today; nothing is counted then.
        """
        with self._lock:
            spent = self._spent.get(project)
            limit = spent.limits.get(kind) if spent else None
            if spent is None or limit is None:
                return
            used = spent.used.get(kind, 0)
            if used + amount > limit:
                raise RequestError(
                    f"You exceeded your current quota: the project {project} has used {used:,} of {limit:,} "
                    f"{kind.replace('_', ' ')} a day, and this takes {amount:,}. The next day begins at 0:00 UTC.",
                    429,
                    type="insufficient_quota",
                    code="insufficient_quota",
                    headers=NO_RETRY,
                )
            spent.used[kind], spent.changed = used + amount, True

    def correct(self, project: str, kind: str, taken: int, used: int) -> None:
        """Replace what was ``taken`` by what was ``used``."""
        with self._lock:
            spent = self._spent.get(project)
            if spent and kind in spent.limits:
                spent.used[kind], spent.changed = max(0, spent.used.get(kind, 0) + used - taken), True

    def flush(self) -> None:
        """Write the counts that have changed."""
        with self._lock:
            changed = [(name, each.day, dict(each.used)) for name, each in self._spent.items() if each.changed]
            for name, _, _ in changed:
                self._spent[name].changed = False
        if not changed:
            return
        with self._database.write() as connection:
            for project, day, used in changed:
                connection.execute(usage.delete().where(usage.c.project == project, usage.c.day == day))
                rows = [{"project": project, "day": day, "kind": kind, "amount": used[kind]} for kind in used]
                connection.execute(usage.insert(), rows)
