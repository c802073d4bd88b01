"""What stands before Gradio's own routes: those that the page does not use are shut, and no request is large."""

import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

#: Files, uploads, streams of media, other servers' pages, components of others, editors, figures on users: all unused.
SHUT = re.compile(
    r"/+(?:gradio_api/+)?(?:upload|upload_progress|file|file=.*|proxy=.*|stream|component_server|custom_component|"
    r"process_recording|vibe-[^/]*|undo-vibe-edit|runs|run-history|monitoring|profiling|dev|deep_link|mcp)(?:/.*)?",
    re.IGNORECASE | re.DOTALL,
)


class BodyLimit:
    """ASGI middleware in front of ``app``; ``most_bytes`` is the longest body that a request may have."""

    def __init__(self, app: Callable[..., Awaitable[None]], most_bytes: int):
        self.app, self.most_bytes = app, most_bytes

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer 404 or 413 here, or let ``app`` answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif SHUT.fullmatch(scope["path"]):
            await _refuse(send, 404, "this page has no such route")
        elif scope["method"] not in ("POST", "PUT", "PATCH", "DELETE"):
            await self.app(scope, receive, send)
        else:
            await self._pass_body(scope, receive, send)

    async def _pass_body(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        length = dict(scope["headers"]).get(b"content-length", b"0")
        whole = bytearray()
        more = not length.isdigit() or int(length) <= self.most_bytes
        too_long = not more
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            whole += message.get("body", b"")
            too_long = len(whole) > self.most_bytes
            more = message.get("more_body", False) and not too_long
        if too_long:
            await _refuse(send, 413, f"a request has at most {self.most_bytes:,} bytes")
            return
        given = False

        async def again() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": bytes(whole), "more_body": False}

        await self.app(scope, again, send)


async def _refuse(send: Send, status: int, line: str) -> None:
    body = json.dumps({"detail": line}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})
