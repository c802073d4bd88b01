"""What is done for every request, whatever its route: key, rate limits, body limit, errors, headers and metrics."""

import json
import time
import traceback
from collections.abc import Mapping
from dataclasses import replace

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.config import ServeConfig
from serve.errors import RequestError
from serve.http.auth import Authenticator
from serve.http.body_limit import limit_body, read_body
from serve.http.budgets import Budgets
from serve.http.metrics import Metrics
from serve.http.rate_limits import Allowance, RateLimits
from serve.ids import fresh_id
from serve.store.projects import CALLER

API_VERSION = "2020-10-01"  # the version of OpenAI's API, for the header openai-version
#: Paths for which a key is needed.
API_PATHS = ("/v1/", "/api/", "/tokenize", "/detokenize")
TINKER_PATHS, TINKER_KEYS = "/api/", "tml-"
UPLOAD_PATH = "/v1/files"
MIB = 1 << 20
FORM_BYTES = 1 << 16  # of an upload, beside its file
METHODS = ("GET", "POST", "DELETE")


class ServerMiddleware:
    """ASGI middleware in front of ``app``.

    Args:
        authenticator: finds the name of a request's key.
        limits: of each key.
        budgets: of each project.
        metrics: count requests and retries.
    """

    def __init__(
        self,
        app: ASGIApp,
        config: ServeConfig,
        authenticator: Authenticator,
        limits: RateLimits,
        budgets: Budgets,
        metrics: Metrics,
    ) -> None:
        self.app, self.config, self.authenticator, self.limits = app, config, authenticator, limits
        self.budgets = budgets
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with an error, or let ``app`` answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        response = _Response(scope, send, self.config.organization, self.metrics)
        try:
            if scope["path"].startswith(API_PATHS) and scope["method"] != "OPTIONS":
                await self._authenticate(scope, response)
                receive = await self._limit_body(scope, receive)
            await self.app(scope, receive, response.send)
        except RequestError as error:
            await response.send_error(error)
        except ClientDisconnect:  # nobody reads an answer
            pass
        except Exception:
            traceback.print_exc()
            if response.status is not None:
                raise
            message = "The server had an error while processing your request; its log has the details."
            await response.send_error(RequestError(message, 500, type="server_error"))

    async def _authenticate(self, scope: Scope, response: "_Response") -> None:
        headers = dict(scope["headers"])
        caller = await run_in_threadpool(self.authenticator.caller_of, _key_in(headers, scope["path"]))
        if caller is None:
            raise RequestError("Incorrect API key provided.", 401, code="invalid_api_key")
        CALLER.set(caller)  # for all that this request begins
        await run_in_threadpool(self.budgets.refresh, caller.project)
        allowance = replace(self.limits.of(caller.key), project=caller.project, budgets=self.budgets)
        scope["allowance"] = response.allowance = allowance
        response.allowance.take_request()
        if headers.get(b"x-stainless-retry-count", b"0") != b"0":
            self.metrics.retries.inc()

    async def _limit_body(self, scope: Scope, receive: Receive) -> Receive:
        """``receive`` with a limit; a body is read as a whole here, but for that of an upload."""
        upload = scope["path"].rstrip("/") == UPLOAD_PATH and scope["method"] == "POST"
        megabytes = self.config.file_mb if upload else self.config.body_mb
        max_bytes = megabytes * MIB + (FORM_BYTES if upload else 0)
        message = f"The request is too large: the limit is {megabytes} MB."
        error = RequestError(message, 413, code="request_too_large")
        if upload or scope["method"] in ("GET", "HEAD"):
            return limit_body(scope, receive, max_bytes, error)
        return await read_body(scope, receive, max_bytes, error)


def _key_in(headers: Mapping[bytes, bytes], path: str) -> str:
    """The API key of a request: Tinker's SDK sends it in a header of its own, and wants keys that begin with ``tml-``.

    Raises:
        RequestError: there is none.
    """
    if path.startswith(TINKER_PATHS):
        key, how = headers.get(b"x-api-key", b""), "set TINKER_API_KEY to tml- and your key"
        found = key.decode("latin-1").strip().removeprefix(TINKER_KEYS)
    else:
        how = "send Authorization: Bearer YOUR_KEY (the SDK reads OPENAI_API_KEY)"
        scheme, _, found = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        found = found.strip() if scheme.lower() == "bearer" else ""
    if not found:
        raise RequestError(f"You didn't provide an API key: {how}.", 401, code="invalid_api_key")
    return found


class _Response:
    """The response to one request: adds the headers that every response has, and counts it."""

    def __init__(self, scope: Scope, send: Send, organization: str, metrics: Metrics) -> None:
        self.scope, self._send, self.organization, self.metrics = scope, send, organization, metrics
        self.started_s, self.id = time.perf_counter(), fresh_id("req_")
        self.status: int | None = None
        self.allowance: Allowance | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            seconds = time.perf_counter() - self.started_s
            message["headers"] = [*message.get("headers", []), *_encoded(self._headers(seconds))]
            self._count(seconds)
        await self._send(message)

    async def send_error(self, error: RequestError) -> None:
        """Send the error's envelope, unless a response has begun."""
        if self.status is not None:
            return
        body = json.dumps(error.envelope()).encode()
        headers = {"content-type": "application/json", "content-length": str(len(body)), **error.headers}
        if error.status == 413:
            headers["connection"] = "close"
        await self.send({"type": "http.response.start", "status": error.status, "headers": _encoded(headers)})
        await self.send({"type": "http.response.body", "body": body})

    def _headers(self, seconds: float) -> dict[str, str]:
        return {
            "x-request-id": self.id,
            "openai-processing-ms": str(round(seconds * 1000)),
            "openai-version": API_VERSION,
            "openai-organization": self.organization,
            **(self.allowance.headers() if self.allowance else {}),
        }

    def _count(self, seconds: float) -> None:
        route = getattr(self.scope.get("route"), "path", "none")
        method = self.scope["method"] if self.scope["method"] in METHODS else "other"
        self.metrics.requests.labels(method, route, str(self.status)).inc()
        self.metrics.request_s.labels(route).observe(seconds)


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.items()]
