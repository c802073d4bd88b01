"""What stands before every route: who asks, how much, how often; and what every answer carries."""

import json
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from starlette.concurrency import run_in_threadpool

from serve.config import ServeConfig
from serve.errors import RequestError
from serve.http.auth import Authenticator
from serve.http.metrics import Metrics
from serve.http.rate_limits import Limits
from serve.ids import fresh_id

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

VERSION = "2020-10-01"  # the version of OpenAI's interface
GUARDED = "/v1/"
UPLOADS = "/v1/files"
MIB = 1 << 20
FORM_BYTES = 1 << 16  # of an upload, beside its file


class ServerMiddleware:
    """ASGI middleware in front of ``app``."""

    def __init__(
        self, app: Callable[..., Awaitable[None]], config: ServeConfig, doorkeeper: Authenticator, limits: Limits,
        measures: Metrics,
    ):  # fmt: skip
        self.app, self.config, self.doorkeeper, self.limits, self.measures = app, config, doorkeeper, limits, measures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer here, or let ``app`` answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        reply = _Reply(scope, send, self.config.organization, self.measures)
        try:
            if scope["path"].startswith(GUARDED):
                await self._admit(scope, reply)
                receive = await self._limited(scope, receive)
            await self.app(scope, receive, reply.send)
        except RequestError as fault:
            await reply.refuse(fault)
        except Exception:
            traceback.print_exc()
            if reply.status is None:
                await reply.refuse(
                    RequestError("Something went wrong here; the server's log says what.", 500, type="server_error")
                )
            else:
                raise

    async def _admit(self, scope: Scope, reply: "_Reply") -> None:
        headers = dict(scope["headers"])
        kind, _, key = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        if kind.lower() != "bearer" or not key.strip():
            raise RequestError(
                "You didn't provide an API key: send Authorization: Bearer YOUR_KEY (the SDK reads OPENAI_API_KEY).",
                401,
                code="invalid_api_key",
            )
        name = await run_in_threadpool(self.doorkeeper.name_of, key.strip())
        if name is None:
            raise RequestError("Incorrect API key provided.", 401, code="invalid_api_key")
        scope["allowance"] = reply.allowance = self.limits.of(name)
        reply.allowance.take_request()
        if headers.get(b"x-stainless-retry-count", b"0") != b"0":
            self.measures.retries.inc()

    async def _limited(self, scope: Scope, receive: Receive) -> Receive:
        """``receive`` with a limit; whatever is no upload is read here, as a whole."""
        upload = scope["path"].rstrip("/") == UPLOADS and scope["method"] == "POST"
        megabytes = self.config.file_mb if upload else self.config.body_mb
        most = megabytes * MIB + (FORM_BYTES if upload else 0)
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length[:19]) > most:
            raise _too_large(megabytes)
        counted = _Counted(receive, most, megabytes)
        return (
            counted.receive if upload or scope["method"] in ("GET", "HEAD") else _given(await counted.whole(), receive)
        )


class _Counted:
    """Counts what is received."""

    def __init__(self, receive: Receive, most: int, megabytes: int):
        self._receive, self._left, self._megabytes = receive, most, megabytes

    async def receive(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise _too_large(self._megabytes)
        return message

    async def whole(self) -> bytes:
        body, more = bytearray(), True
        while more:
            message = await self.receive()
            body += message.get("body", b"")
            more = message["type"] == "http.request" and message.get("more_body", False)
        return bytes(body)


def _given(body: bytes, receive: Receive) -> Receive:
    first = True

    async def again() -> Message:
        nonlocal first
        if not first:
            return await receive()
        first = False
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _too_large(megabytes: int) -> RequestError:
    return RequestError(f"The request is too large: at most {megabytes} MB are taken.", 413, code="request_too_large")


class _Reply:
    """The answer on its way out: headers are added, and it is counted."""

    def __init__(self, scope: Scope, send: Send, organization: str, measures: Metrics):
        self.scope, self._send, self.organization, self.measures = scope, send, organization, measures
        self.began_s, self.id = time.perf_counter(), fresh_id("req_")
        self.status: int | None = None
        self.allowance: Any = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            seconds = time.perf_counter() - self.began_s
            message["headers"] = [*message.get("headers", []), *_encoded(self._headers(seconds))]
            self._count(seconds)
        await self._send(message)

    async def refuse(self, fault: RequestError) -> None:
        if self.status is not None:
            return
        body = json.dumps(fault.envelope()).encode()
        headers = {"content-type": "application/json", "content-length": str(len(body)), **fault.headers}
        if fault.status == 413:
            headers["connection"] = "close"
        await self.send({"type": "http.response.start", "status": fault.status, "headers": _encoded(headers)})
        await self.send({"type": "http.response.body", "body": body})

    def _headers(self, seconds: float) -> dict[str, str]:
        limits = self.allowance.headers() if self.allowance else {}
        return {
            "x-request-id": self.id,
            "openai-processing-ms": str(round(seconds * 1000)),
            "openai-version": VERSION,
            "openai-organization": self.organization,
            **limits,
        }

    def _count(self, seconds: float) -> None:
        route = getattr(self.scope.get("route"), "path", "none")
        method = self.scope["method"] if self.scope["method"] in ("GET", "POST", "DELETE") else "other"
        self.measures.requests.labels(method, route, str(self.status)).inc()
        self.measures.request_s.labels(route).observe(seconds)


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.items()]
