"""Access to the tracking store and the registry: a client of both, and one error line where they do not answer."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from requests.utils import get_environ_proxies

from data.errors import first_line
from registry.errors import TrackingUnavailable, is_unreachable

CONNECT_TIMEOUT_S = 3.0
PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}


@contextmanager
def connected() -> Iterator[MlflowClient]:
    """A client of the store and the registry, for the requests made in this context.

    Connections to both are tried first: MLflow itself tries for seconds, or with a database for minutes.

    Raises:
        TrackingUnavailable: one of the two does not answer, now or at one of the requests.
    """
    try:
        for uri in {mlflow.get_tracking_uri(), mlflow.get_registry_uri()}:
            _require_connection(uri)
        yield MlflowClient()
    except (MlflowException, OSError) as error:
        if not is_down(error):
            raise
        raise TrackingUnavailable(
            f"the registry at {registry_address()} does not answer: {first_line(error)}"
        ) from error


class _ConnectionRefused(ConnectionError):
    pass


def _require_connection(uri: str) -> None:
    parts = urlsplit(uri)
    scheme = parts.scheme.partition("+")[0]
    behind_proxy = scheme in ("http", "https") and get_environ_proxies(uri)
    if scheme in PORTS and parts.hostname and not behind_proxy:
        try:
            socket.create_connection((parts.hostname, parts.port or PORTS[scheme]), CONNECT_TIMEOUT_S).close()
        except OSError as error:
            raise _ConnectionRefused(error.strerror or str(error)) from error


def is_down(error: BaseException) -> bool:
    """True where ``error`` means that the store, a server or a database, can't be reached."""
    refused = isinstance(error, _ConnectionRefused) or getattr(error, "error_code", "") == "TEMPORARILY_UNAVAILABLE"
    return refused or is_unreachable(error)


def registry_address() -> str:
    """Address of the registry, without user and password."""
    return without_password(mlflow.get_registry_uri())


def without_password(uri: str) -> str:
    """``uri`` without user and password."""
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if "@" in parts.netloc else uri
