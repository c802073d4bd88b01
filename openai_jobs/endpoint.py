"""An OpenAI-compatible API: where it is, how it is reached, and what its refusals mean, without the key in any of it.

The key is read from the environment by the SDK and kept nowhere else. Some servers quote it in their errors: every
text of theirs goes through ``scrubbed`` before it is printed, raised or kept.
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

#: Hyperparameters that OpenAI knows beside n_epochs, which is ``epochs`` here.
KNOWN = ("batch_size", "learning_rate_multiplier")

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI

#: Seconds for one request and its answer, and for a connection to be made.
TIMEOUT_S, CONNECT_S = 60.0, 5.0
UPLOAD_TIMEOUT_S = 600.0
OPENAI_HOST = "api.openai.com"
LONGEST_REASON = 300
#: Keys as providers write them, whole or with asterisks in the middle, and what follows the word that announces one.
KEY_LIKE = re.compile(r"\b(?:sk|pk|rk|key)-[\w*.-]{3,}|(?<=Bearer )\S+", re.IGNORECASE)
CLOSED = (
    "It took the right to start new ones from organisations that are new (2026-05-07) or idle (2026-07-02) and closes "
    "them for all on 2027-01-06. `make serve` starts a server here that takes the same jobs: set OPENAI_BASE_URL to "
    "its address, or give provider=parley, which starts one for the run"
)


class ApiError(UserError):
    """A request that came to nothing.

    ``status``, ``code``, ``reason`` and ``headers`` are the server's; None and empty where there was no answer.
    """

    def __init__(
        self,
        message: str,
        status: int | None = None,
        code: str = "",
        reason: str = "",
        headers: Mapping[str, str] = MappingProxyType({}),
    ):
        super().__init__(message)
        self.status, self.code, self.reason, self.headers = status, code, reason, headers

    @property
    def certain(self) -> bool:
        """Whether nothing can have come of the request."""
        return self.status is not None and 400 <= self.status < 500 and self.status != 408

    @property
    def is_missing(self) -> bool:
        """Whether the server has no such route or method."""
        return self.status in (404, 405, 501)


@dataclass(frozen=True)
class Endpoint:
    """One API. ``address`` may be shown and kept, empty is OpenAI's own; ``secret`` is only set of a private server."""

    address: str = ""
    secret: str = field(default="", repr=False)

    @property
    def is_openai(self) -> bool:
        """Whether it is OpenAI itself."""
        return not self.address or urlsplit(self.address).hostname == OPENAI_HOST

    @property
    def name(self) -> str:
        """What users call it."""
        return "OpenAI" if self.is_openai else self.address

    @property
    def kept(self) -> str:
        """How a run's tags name it."""
        return self.address or f"https://{OPENAI_HOST}/v1"

    def client(self) -> "OpenAI":
        """A client that retries what may be asked twice."""
        import openai

        return openai.OpenAI(**self._settings(openai.DefaultHttpx2Client))

    def async_client(self) -> "AsyncOpenAI":
        """A client that never retries by itself."""
        import openai

        return openai.AsyncOpenAI(**self._settings(openai.DefaultAsyncHttpx2Client), max_retries=0)

    def _settings(self, make_http: Any) -> dict[str, Any]:
        import openai

        found: dict[str, Any] = {"timeout": openai.Timeout(TIMEOUT_S, connect=CONNECT_S)}
        if self.secret:  # on this machine, where a proxy from the environment leads nowhere
            found |= {"base_url": self.address, "api_key": self.secret, "http_client": make_http(trust_env=False)}
        return found


def from_environment() -> Endpoint:
    """The API that ``OPENAI_BASE_URL`` names, as the SDK reads it.

    Raises:
        ConfigError: there is no key for it.
    """
    endpoint = Endpoint(_shown(os.environ.get("OPENAI_BASE_URL", "").strip()))
    if not os.environ.get("OPENAI_API_KEY", "").strip():
        raise ConfigError(
            f"provider=openai: set OPENAI_API_KEY to your key for {endpoint.name} (any word where it asks for none), "
            "and OPENAI_BASE_URL for another API than OpenAI's"
        )
    return endpoint


def _shown(address: str) -> str:
    """An address without user, password and query, in which keys are passed to some."""
    parts = urlsplit(address)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", "")).rstrip("/")


def scrubbed(text: str, secret: str = "") -> str:
    """``text`` on one line without anything that is, or looks like, a key."""
    for key in (secret, os.environ.get("OPENAI_API_KEY", ""), os.environ.get("PARLEY_SERVE_KEY", "")):
        if len(key.strip()) > 3:
            text = text.replace(key.strip(), "***")
    return KEY_LIKE.sub("***", " ".join(text.split()))[:LONGEST_REASON]


@contextmanager
def spoken(endpoint: Endpoint, doing: str) -> Iterator[None]:
    """Turn whatever the SDK raises within into one line about ``doing``, such as ``upload train.jsonl``.

    Raises:
        Refused: the request came to nothing.
    """
    import openai

    refused = None
    try:
        yield
    except openai.APIStatusError as error:
        refused = _of_status(endpoint, doing, error)
    except openai.APITimeoutError:
        refused = ApiError(f"{endpoint.name} did not answer in time: {doing}")
    except openai.APIConnectionError:
        refused = ApiError(f"{endpoint.name} can't be reached, or the connection broke off: {doing}")
    except (openai.OpenAIError, ValueError, TypeError, AttributeError) as error:  # what a sick server makes it raise
        refused = ApiError(f"{endpoint.name} gave an answer that can't be read ({type(error).__name__}): {doing}")
    if refused:
        raise refused from None  # the SDK's own error may quote the key: no traceback shows it


def _of_status(endpoint: Endpoint, doing: str, error: Any) -> ApiError:
    status, code = error.status_code, str(error.code or "")
    said = error.body.get("message") if isinstance(error.body, dict) else None
    reason = scrubbed(str(said or error.message or ""), endpoint.secret)
    if status == 401:
        words = f"{endpoint.name} refuses the key in OPENAI_API_KEY (401): {doing}"
    elif code == "insufficient_quota":
        words = f"the account at {endpoint.name} has no credit left (insufficient_quota): {doing}; add some, then go on"
    else:
        words = f"{endpoint.name} refuses to {doing} ({status}{f', {code}' if code else ''}): {reason}"
    return ApiError(words, status, scrubbed(code), reason, error.response.headers)


def closed(endpoint: Endpoint, refused: ApiError) -> UserError:
    """What to say where jobs may not be created (403)."""
    if endpoint.is_openai:
        return UserError(
            f"OpenAI takes no new fine-tuning jobs from this organisation (403): {refused.reason} {CLOSED}"
        )
    return UserError(
        f"{endpoint.name} does not let this key start fine-tuning jobs (403): {refused.reason} `make serve` starts a "
        "server here that does: set OPENAI_BASE_URL to its address, or give provider=parley"
    )
