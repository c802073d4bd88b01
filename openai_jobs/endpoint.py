"""An OpenAI-compatible API: its address, its SDK clients, and its errors as one line each without the key.

The SDK reads the key from the environment; it is stored nowhere else. Some servers quote it in their errors: every
text of theirs passes ``redact`` before it is printed, raised or stored.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from data.errors import ConfigError, UserError

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI, OpenAI

#: Hyperparameters of OpenAI's own beside n_epochs, which is ``epochs`` here.
OPENAI_HYPERPARAMETERS = ("batch_size", "learning_rate_multiplier")
#: Seconds for one request and its response, and for opening a connection.
TIMEOUT_S, CONNECT_S = 60.0, 5.0
UPLOAD_TIMEOUT_S = 600.0
OPENAI_HOST = "api.openai.com"
MAX_REASON_CHARS = 300
#: Keys as providers write them, whole or with asterisks in the middle, and what follows the word that announces one.
KEY_LIKE = re.compile(r"\b(?:sk|pk|rk|key)-[\w*.-]{3,}|(?<=Bearer )\S+", re.IGNORECASE)
CLOSED = (
    "It took the right to start new ones from organisations that are new (2026-05-07) or idle (2026-07-02) and closes "
    "them for all on 2027-01-06. `make serve` starts a server here that takes the same jobs: set OPENAI_BASE_URL to "
    "its address, or give provider=parley, which starts one for the run"
)


class ApiError(UserError):
    """A request that failed.

    ``status``, ``code``, ``reason`` and ``headers`` are the server's; None and empty where there was no response.
    """

    def __init__(
        self,
        message: str,
        status: int | None = None,
        code: str = "",
        reason: str = "",
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.reason, self.headers = status, code, reason, headers

    @property
    def is_rejection(self) -> bool:
        """Whether the server certainly did not carry out the request: a status of 4xx but 408."""
        return self.status is not None and 400 <= self.status < 500 and self.status != 408

    @property
    def is_temporary(self) -> bool:
        """Whether a request that only reads may succeed when it is sent again."""
        return not self.is_rejection or self.status == 429

    @property
    def is_missing(self) -> bool:
        """Whether the server has no such route or method."""
        return self.status in (404, 405, 501)


@dataclass(frozen=True)
class Endpoint:
    """One API. ``address`` holds no secrets, empty is OpenAI's own; ``api_key`` is only set for a local server."""

    address: str = ""
    api_key: str = field(default="", repr=False)

    @property
    def is_openai(self) -> bool:
        """Whether it is OpenAI itself."""
        return not self.address or urlsplit(self.address).hostname == OPENAI_HOST

    @property
    def name(self) -> str:
        """Its name in messages."""
        return "OpenAI" if self.is_openai else self.address

    @property
    def url(self) -> str:
        """Its base URL, as a run's tags record it."""
        return self.address or f"https://{OPENAI_HOST}/v1"

    def client(self) -> "OpenAI":
        """A client with the SDK's own retries, for requests that may be sent twice."""
        import openai

        return openai.OpenAI(**self._settings(openai.DefaultHttpx2Client))

    def async_client(self) -> "AsyncOpenAI":
        """A client that never retries by itself."""
        import openai

        return openai.AsyncOpenAI(**self._settings(openai.DefaultAsyncHttpx2Client), max_retries=0)

    def _settings(self, make_http: Any) -> dict[str, Any]:
        import openai

        found: dict[str, Any] = {"timeout": openai.Timeout(TIMEOUT_S, connect=CONNECT_S)}
        if self.api_key:  # on this machine, which a proxy from the environment does not reach
            found |= {"base_url": self.address, "api_key": self.api_key, "http_client": make_http(trust_env=False)}
        return found


def from_environment(setting: str = "provider=openai") -> Endpoint:
    """The API that ``OPENAI_BASE_URL`` names, as the SDK reads it.

    Args:
        setting: the flag and value that ask for it, for the error.

    Raises:
        ConfigError: there is no key for it.
    """
    endpoint = Endpoint(_without_secrets(os.environ.get("OPENAI_BASE_URL", "").strip()))
    if not os.environ.get("OPENAI_API_KEY", "").strip():
        raise ConfigError(
            f"{setting}: set OPENAI_API_KEY to your key for {endpoint.name} (any word where it asks for none), "
            "and OPENAI_BASE_URL for another API than OpenAI's"
        )
    return endpoint


def _without_secrets(address: str) -> str:
    """An address without user, password and query, which may hold keys."""
    parts = urlsplit(address)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", "")).rstrip("/")


def redact(text: str, api_key: str = "") -> str:
    """``text`` on one line, at most ``MAX_REASON_CHARS`` long, with everything that is or looks like a key removed."""
    for key in (api_key, os.environ.get("OPENAI_API_KEY", ""), os.environ.get("PARLEY_SERVE_KEY", "")):
        if len(key.strip()) > 3:
            text = text.replace(key.strip(), "***")
    return KEY_LIKE.sub("***", " ".join(text.split()))[:MAX_REASON_CHARS]


@contextmanager
def translate_errors(endpoint: Endpoint, action: str) -> Iterator[None]:
    """Turn whatever the SDK raises within into an ``ApiError`` about ``action``, such as ``upload train.jsonl``.

    Raises:
        ApiError: the request failed.
    """
    import openai

    failure = None
    try:
        yield
    except openai.APIStatusError as error:
        failure = _of_status(endpoint, action, error)
    except openai.APITimeoutError:
        failure = ApiError(f"{endpoint.name} did not answer in time: {action}")
    except openai.APIConnectionError:
        failure = ApiError(f"{endpoint.name} can't be reached, or the connection broke off: {action}")
    except (openai.OpenAIError, ValueError, TypeError, AttributeError) as error:  # raised on malformed responses
        failure = ApiError(f"{endpoint.name} gave an answer that can't be read ({type(error).__name__}): {action}")
    if failure:
        raise failure from None  # the SDK's own error may quote the key: no traceback shows it


def _of_status(endpoint: Endpoint, action: str, error: "APIStatusError") -> ApiError:
    status, code = error.status_code, str(error.code or "")
    message = error.body.get("message") if isinstance(error.body, dict) else None
    reason = redact(str(message or error.message or ""), endpoint.api_key)
    if status == 401:
        line = f"{endpoint.name} refuses the key in OPENAI_API_KEY (401): {action}"
    elif code == "insufficient_quota":
        line = f"the account at {endpoint.name} has no credit left (insufficient_quota): {action}; add some, then go on"
    else:
        line = f"{endpoint.name} refuses to {action} ({status}{f', {code}' if code else ''}): {reason}"
    return ApiError(line, status, redact(code), reason, error.response.headers)


def jobs_closed(endpoint: Endpoint, error: ApiError) -> UserError:
    """The error for an endpoint that lets this key create no jobs (403), with what to do instead."""
    if endpoint.is_openai:
        return UserError(f"OpenAI takes no new fine-tuning jobs from this organisation (403): {error.reason} {CLOSED}")
    return UserError(
        f"{endpoint.name} does not let this key start fine-tuning jobs (403): {error.reason} `make serve` starts a "
        "server here that does: set OPENAI_BASE_URL to its address, or give provider=parley"
    )
