"""The way in to the store and the registry: a client of them, and one plain line where they do not answer."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from requests.utils import get_environ_proxies

from data.errors import first_line
from registry.runs import TrackingUnavailable, is_away

KNOCK_S = 3.0
PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}


@contextmanager
def reached() -> Iterator[MlflowClient]:
    """A client of the store and the registry, for the questions asked within.

    Both are knocked at first: MLflow itself tries for seconds, or with a database for minutes, before it gives up.

    Raises:
        TrackingAway: one of the two does not answer, now or at one of the questions.
    """
    try:
        for uri in {mlflow.get_tracking_uri(), mlflow.get_registry_uri()}:
            _knock(uri)
        yield MlflowClient()
    except (MlflowException, OSError) as error:
        if not is_down(error):
            raise
        raise TrackingUnavailable(
            f"the registry at {registry_address()} does not answer: {first_line(error)}"
        ) from error


class _NobodyThere(ConnectionError):
    pass


def _knock(uri: str) -> None:
    parts = urlsplit(uri)
    scheme = parts.scheme.partition("+")[0]
    behind_proxy = scheme in ("http", "https") and get_environ_proxies(uri)
    if scheme in PORTS and parts.hostname and not behind_proxy:
        try:
            socket.create_connection((parts.hostname, parts.port or PORTS[scheme]), KNOCK_S).close()
        except OSError as error:
            raise _NobodyThere(error.strerror or str(error)) from error


def is_down(error: BaseException) -> bool:
    """True where ``error`` says that the store can't be reached, whatever it is: a server or a database."""
    gone = isinstance(error, _NobodyThere) or getattr(error, "error_code", "") == "TEMPORARILY_UNAVAILABLE"
    return gone or is_away(error)


def registry_address() -> str:
    """Where the registry is, without the password that such an address can hold."""
    return without_password(mlflow.get_registry_uri())


def without_password(uri: str) -> str:
    """``uri`` without user and password."""
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if "@" in parts.netloc else uri
