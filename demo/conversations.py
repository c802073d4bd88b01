"""The conversations that the page keeps: one SQLite file, read and written by id."""

import sqlite3
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from data.errors import UserError
from demo.conversation import Conversation, from_record, to_record
from demo.view.html import one_line

MOST_LISTED = 100
LONGEST_NAME = 60
TABLE = """CREATE TABLE IF NOT EXISTS conversations (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, changed_s REAL NOT NULL, listed INTEGER NOT NULL, record TEXT NOT NULL)"""


@dataclass(frozen=True)
class Saved:
    """A saved conversation as the list shows it: its first prompt, shortened, and when it changed (epoch seconds)."""

    id: str
    name: str
    changed_s: float


class ConversationStore:
    """Saved conversations in the file ``path``; threads may use it together."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, check_same_thread=False)
        self._database.execute(TABLE)
        self._database.commit()

    def save(self, chat: Conversation) -> str:
        """Keep ``chat`` under its id, a new one where it has none; returns the id."""
        chat.saved_id, chat.shared_id = chat.saved_id or uuid.uuid4().hex, ""
        self._write(chat.saved_id, chat, listed=True)
        return chat.saved_id

    def share(self, chat: Conversation) -> str:
        """Keep a copy of ``chat`` that nothing changes any more and that is not listed; returns its id."""
        name = uuid.uuid4().hex
        self._write(name, chat, listed=False)
        return name

    def open(self, name: str) -> Conversation:
        """The conversation with this id; a shared copy goes on as a new one.

        Raises:
            UserError: there is none.
        """
        with self._lock:
            query = "SELECT record, listed FROM conversations WHERE id = ?"
            found = self._database.execute(query, (name,)).fetchone()
        if found is None:
            raise UserError("this conversation is not kept here: it was deleted, or is another server's")
        chat = from_record(found[0])
        chat.saved_id, chat.shared_id = (name, "") if found[1] else ("", name)
        return chat

    def delete(self, name: str) -> None:
        """Remove the conversation with this id, if there is one."""
        with self._lock, self._database:
            self._database.execute("DELETE FROM conversations WHERE id = ?", (name,))

    def listed(self) -> list[Saved]:
        """The saved conversations, those that changed last first."""
        query = "SELECT id, name, changed_s FROM conversations WHERE listed ORDER BY changed_s DESC LIMIT ?"
        with self._lock:
            return [Saved(*row) for row in self._database.execute(query, (MOST_LISTED,))]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def _write(self, name: str, chat: Conversation, listed: bool) -> None:
        if not chat.exchanges:
            raise UserError("this conversation has no messages yet")
        title = one_line(chat.exchanges[0].prompt, LONGEST_NAME)
        row = (name, title, time.time(), listed, to_record(chat))
        with self._lock, self._database:
            self._database.execute("INSERT OR REPLACE INTO conversations VALUES (?, ?, ?, ?, ?)", row)
