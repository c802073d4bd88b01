"""Every raw reply as it arrived, so that no request is sent again for it, in a later process either."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class ResponseLog:
    """Replies by the digest of their request, in a file of one JSON object a line.

    A line is with the operating system when ``add`` returns, so the death of the process loses none; ``sync`` writes
    them to disk. A torn last line counts as not written, and is ended before the next one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.replies: dict[str, dict[str, Any]] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        raw = path.read_bytes() if path.is_file() else b""
        for line in raw.split(b"\n"):
            try:
                entry = json.loads(line)
                self.replies.setdefault(entry["digest"], entry["reply"])
            except (ValueError, KeyError, TypeError):  # torn, or another program's
                continue
        self._out = path.open("ab", buffering=0)
        if raw and not raw.endswith(b"\n"):
            self._out.write(b"\n")

    def add(self, digest: str, row_id: str, reply: Mapping[str, Any]) -> None:
        """Write one reply; a second one to the same request is ignored."""
        if digest in self.replies:
            return
        self.replies[digest] = dict(reply)
        line = json.dumps({"digest": digest, "row": row_id, "reply": reply}, ensure_ascii=False)
        self._out.write(line.encode() + b"\n")

    def sync(self) -> None:
        """Write everything to disk (fsync)."""
        os.fsync(self._out.fileno())

    def close(self) -> None:
        """Write everything to disk and close the file."""
        self.sync()
        self._out.close()
