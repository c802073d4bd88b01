"""Every raw answer as it arrived, so that none is asked for twice, by a later process either."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class ResponseLog:
    """Answers by their question's digest, in a file of one JSON object a line.

    A line is with the operating system when ``keep`` returns, so the death of the process loses none; ``sync`` puts
    them on the disk. A last line that was torn is as if not written, and is closed before the next one.
    """

    def __init__(self, path: Path):
        self.path = path
        self.replies: dict[str, dict[str, Any]] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        raw = path.read_bytes() if path.is_file() else b""
        for line in raw.split(b"\n"):
            try:
                found = json.loads(line)
                self.replies.setdefault(found["digest"], found["reply"])
            except (ValueError, KeyError, TypeError):  # torn, or not ours
                continue
        self._out = path.open("ab", buffering=0)
        if raw and not raw.endswith(b"\n"):
            self._out.write(b"\n")

    def keep(self, digest: str, row_id: str, reply: Mapping[str, Any]) -> None:
        """Write one answer down; a second one to the same question is not taken."""
        if digest in self.replies:
            return
        self.replies[digest] = dict(reply)
        line = json.dumps({"digest": digest, "row": row_id, "reply": reply}, ensure_ascii=False)
        self._out.write(line.encode() + b"\n")

    def sync(self) -> None:
        """Have everything on the disk."""
        os.fsync(self._out.fileno())

    def close(self) -> None:
        """Close the file, everything on the disk."""
        self.sync()
        self._out.close()
