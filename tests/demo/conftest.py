"""A page served in this process over a store of its own, for tests that talk to it by HTTP."""

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from demo.config import DemoConfig
from demo.session import ChatSessions
from tests.processes import free_port
from tests.small_version import register_adapter

TIMEOUT_S = 240


@dataclass(frozen=True)
class Served:
    """A page that answers at ``address``, its parts, and the folder that holds its store and its votes."""

    address: str
    sessions: ChatSessions
    pool: Any
    box: Any
    folder: Path

    def ask(self, path: str, body: Any = None, raw: bytes = b"", headers: Any = None) -> tuple[int, str]:
        """Status and text of the answer to a GET of ``path`` as it is, or to a POST of ``body`` as JSON or ``raw``."""
        data = raw or (None if body is None else json.dumps(body).encode())
        given = {"content-type": "application/json", **(headers or {})}
        asking = http.client.HTTPConnection(urlsplit(self.address).netloc, timeout=TIMEOUT_S)
        try:
            asking.request("GET" if data is None else "POST", path, data, given)
            answer = asking.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        finally:
            asking.close()

    def call(self, name: str, *values: Any) -> str:
        """The stream of events that a named endpoint answers with."""
        status, text = self.ask(f"/gradio_api/call/{name}", {"data": values})
        return self.ask(f"/gradio_api/call/{name}/{json.loads(text)['event_id']}")[1] if status == 200 else text


@contextmanager
def serve_page(folder: Path, password: str = "", **settings: Any) -> Iterator[Served]:
    """The page over the store in use; closed at the end."""
    from demo.app import build
    from demo.server import make_pool, serve
    from demo.version_cache import VersionCache
    from registry.votes.outbox import VoteOutbox

    config = DemoConfig(port=free_port(), threads=1, **{"tokens_per_minute": 10**6, "queue": 8, **settings})
    pool, box = make_pool(config), VoteOutbox(folder / "votes")
    sessions = ChatSessions(config, pool, lambda: box)
    blocks = build(sessions, VersionCache())
    try:
        yield Served(serve(blocks, config, password)[0], sessions, pool, box, folder)
    finally:
        blocks.close(verbose=False)
        box.close()


@pytest.fixture(scope="module")
def served(tiny_base, settle, tmp_path_factory) -> Iterator[Served]:
    """A page over a store that has pirate/1, a random adapter of the tiny base."""
    folder = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        settle(folder, patch)
        register_adapter(tiny_base, folder)
        with serve_page(folder) as page:
            yield page
