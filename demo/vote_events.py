"""What is done with all votes: win rates, and preference pairs as a file."""

import json

from data.errors import UserError
from demo.lazy import import_lock
from demo.session import ChatSessions
from demo.view import render
from demo.view.details import notice
from demo.view.html import file_to_save
from registry.votes.votes import Vote, head_to_head, select_pairs, win_rates


class VoteEvents:
    """The events of the tab Votes; ``sessions`` has the votes that are not in the store yet."""

    def __init__(self, sessions: ChatSessions) -> None:
        self.sessions = sessions

    def preference_pairs(self) -> list[str]:
        """The blind votes as preference pairs, JSON Lines."""
        selected = select_pairs(self.all_votes())
        if not selected.rows:
            raise UserError(f"no blind vote has preferred one of two whole, different answers yet; {selected.line}")
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in selected.rows)
        return [notice("info", f"Saved: {selected.line}"), file_to_save("parley-preferences.jsonl", text)]

    def standings(self) -> list[str]:
        """Win rates over all votes."""
        votes = self.all_votes()
        return ["", render.standings(win_rates(votes), head_to_head(votes), win_rates(votes, blind=False))]

    def all_votes(self) -> list[Vote]:
        """All votes in the store, after those still waiting were sent."""
        with import_lock:
            from registry.votes import store
        self.sessions.flush_votes()
        return store.load()
