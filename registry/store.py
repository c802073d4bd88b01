"""Access to the tracking store and the registry: a client of both, and one error line where they do not answer."""

import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils.file_utils import local_file_uri_to_path
from requests.utils import get_environ_proxies

from data.errors import UserError, first_line
from registry.errors import TrackingUnavailable, is_unreachable

T = TypeVar("T")
CONNECT_TIMEOUT_S = 3.0
#: What SQLite's error says, and how long and how often ``retry_locked`` tries again.
LOCKED, LOCKED_TIMEOUT_S, LOCKED_PAUSE_S = "database is locked", 30.0, 0.2
PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}

logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # a traceback for each error that it also raises


def prepare(outputs: Path) -> None:
    """Check that the store and the folder ``outputs`` can be written, and create the tables of a new SQLite store.

    Of two processes that open a new store, MLflow would let both create its tables, and one of them fail. So they are
    created in a file of another name, which gets its own once it is complete.

    Raises:
        UserError: one of the two can't be written. MLflow itself would try for minutes.
    """
    path = sqlite_path(mlflow.get_tracking_uri())
    for folder, file in ((outputs, None), *([(path.parent, path)] if path else [])):
        problem = _writing_problem(folder, file)
        if problem:
            raise UserError(
                f"{file or folder} can't be written ({problem}): set MLFLOW_TRACKING_URI to a store and "
                "PARLEY_OUTPUTS to a folder that can be, such as sqlite:////folder/mlflow.db and /folder/outputs"
            )
    if path and not path.exists():
        _create_tables(path)


def sqlite_path(uri: str) -> Path | None:
    """The file of a SQLite store; None for any other store."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def artifact_location(uri: str, experiment: str) -> str | None:
    """Where the artifacts of a new experiment are kept: beside a SQLite store where the working folder is read-only.

    None leaves it to MLflow, which takes ``mlruns`` in the working folder for such a store.
    """
    path = sqlite_path(uri)
    return None if path is None or os.access(Path.cwd(), os.W_OK) else str(path.parent / "mlruns" / experiment)


def is_writable(artifact_uri: str) -> bool:
    """False where artifacts are kept in a local folder that can't be written."""
    folder = local_folder(artifact_uri)
    return folder is None or not _writing_problem(folder, None)


def local_folder(artifact_uri: str) -> Path | None:
    """The folder on this machine that holds the artifacts; None where a server keeps them."""
    is_local = urlsplit(artifact_uri).scheme in ("", "file")
    return Path(local_file_uri_to_path(artifact_uri)) if is_local else None


def _writing_problem(folder: Path, file: Path | None) -> str:
    nearest = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    if not nearest.is_dir():
        return "Not a directory"
    writable = os.access(nearest, os.W_OK) and (file is None or not file.exists() or os.access(file, os.W_OK))
    return "" if writable else "no permission, or a file system that is read-only"


def _create_tables(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        MlflowClient(f"sqlite:///{part}").search_experiments(max_results=1)
        with suppress(OSError):  # another process was first; or no links here, and MLflow creates the tables
            os.link(part, path)
    finally:
        part.unlink(missing_ok=True)


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


def retry_locked(request: Callable[[], T]) -> T:
    """What ``request`` returns, which is made again for up to 30 s while another process has locked a SQLite store.

    MLflow waits 20 s for most locks; but where two processes wait for each other, SQLite refuses one of them at once.

    Raises:
        MlflowException: that of the last try.
    """
    until = time.monotonic() + LOCKED_TIMEOUT_S
    while True:
        try:
            return request()
        except MlflowException as error:
            if LOCKED not in str(error) or time.monotonic() > until:
                raise
        time.sleep(LOCKED_PAUSE_S)


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
