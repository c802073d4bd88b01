"""ASGI middleware in front of Gradio's routes: those that the page does not use answer 404, and bodies are limited."""

import re

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from serve.http.body_limit import read_body

#: Files, uploads, streams of media, other servers' pages, components of others, editors, usage statistics: all unused.
UNUSED = re.compile(
    r"/+(?:gradio_api/+)?(?:upload|upload_progress|file|file=.*|proxy=.*|stream|component_server|custom_component|"
    r"process_recording|vibe-[^/]*|undo-vibe-edit|runs|run-history|monitoring|profiling|dev|deep_link|mcp)(?:/.*)?",
    re.IGNORECASE | re.DOTALL,
)
METHODS_WITH_BODY = ("POST", "PUT", "PATCH", "DELETE")


class PageMiddleware:
    """Answers 404 for unused routes and 413 for bodies of more than ``max_bytes`` bytes; the rest ``app`` answers."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app, self.max_bytes = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with an error, or let ``app`` answer."""
        try:
            if scope["type"] == "http":
                receive = await self._checked(scope, receive)
        except HTTPException as error:
            response = JSONResponse({"detail": error.detail}, error.status_code, {"connection": "close"})
            await response(scope, receive, send)
        except ClientDisconnect:  # nobody reads an answer
            pass
        else:
            await self.app(scope, receive, send)

    async def _checked(self, scope: Scope, receive: Receive) -> Receive:
        if UNUSED.fullmatch(scope["path"]):
            raise HTTPException(404, "this page has no such route")
        if scope["method"] not in METHODS_WITH_BODY:
            return receive
        error = HTTPException(413, f"a request has at most {self.max_bytes:,} bytes")
        return await read_body(scope, receive, self.max_bytes, error)
