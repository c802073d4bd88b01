"""An OpenAI-compatible server for one run: a process beside it that ends with it, however that ends.

Run as a program, this file is the supervisor between the two: it starts the server and holds a pipe from the run. When
the run dies, even by SIGKILL, the pipe closes, and the supervisor ends the server and the processes that it started. A
lock in the run's folder keeps the next server from the database until the last one is gone.
"""

import contextlib
import fcntl
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, build_opener

from data.errors import UserError
from data.processes import child_environment, ignore_signal
from openai_jobs.endpoint import Endpoint

#: Seconds that a server may take to be ready, and to end by itself.
READY_S, END_S = 120.0, 15.0
LOG, LOCK, DATABASE, ENDPOINT = "server.log", "server.lock", "server.db", "endpoint.json"
KEY = "PARLEY_SERVE_KEY"
#: Variables of the run that the server does not get: its jobs are runs of their own.
NOT_INHERITED = ("MLFLOW_RUN_ID", "OPENAI_API_KEY", "OPENAI_BASE_URL")


class LocalServer:
    """A server process; ``endpoint`` holds its address and its key, which only the run and the server know."""

    def __init__(self, folder: Path, tracking_uri: str, command: Sequence[str] = ()) -> None:
        self.folder = folder
        port, key = _free_port(), secrets.token_urlsafe(32)
        self.endpoint = Endpoint(f"http://127.0.0.1:{port}/v1", key)
        served = [*(command or (sys.executable, "-m", "steps.serve")), "--port", str(port)]
        served += ["--database", f"sqlite:///{(folder / DATABASE).resolve()}"]
        env = child_environment(NOT_INHERITED, **{KEY: key, "MLFLOW_TRACKING_URI": tracking_uri})
        self._log = folder / LOG
        with self._log.open("ab") as log:
            self._supervisor = subprocess.Popen(
                [sys.executable, "-m", "openai_jobs.local_server", str(folder / LOCK), *served],
                stdin=subprocess.PIPE, stdout=log, stderr=log, env=env, start_new_session=True,
            )  # fmt: skip

    def wait(self, timeout_s: float = READY_S) -> None:
        """Wait until it answers.

        Raises:
            UserError: it ended, or does not answer in time; the message holds the last lines of its log.
        """
        ready = self.endpoint.address.removesuffix("/v1") + "/healthz"
        opener, until = build_opener(ProxyHandler({})), time.monotonic() + timeout_s
        while time.monotonic() < until and self._supervisor.poll() is None:
            with contextlib.suppress(URLError, OSError), opener.open(ready, timeout=5) as response:
                if response.status == 200:
                    self._write_endpoint()
                    return
            time.sleep(0.1)
        lines = self._log.read_text(errors="replace").strip().splitlines()[-3:]
        state = "ended" if self._supervisor.poll() is not None else f"did not answer in {timeout_s:g} s"
        self.close()
        raise UserError(f"the local server {state}: {' / '.join(lines) or 'it wrote nothing'} ({self._log})")

    def _write_endpoint(self) -> None:
        """Let other processes of this user follow its job; ``close`` removes the file."""
        path = self.folder / ENDPOINT
        path.unlink(missing_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump([self.endpoint.address, self.endpoint.api_key], file)

    def close(self) -> None:
        """End it, and wait until it is gone."""
        (self.folder / ENDPOINT).unlink(missing_ok=True)
        assert self._supervisor.stdin
        with contextlib.suppress(OSError):
            self._supervisor.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._supervisor.wait(END_S + 5)


def endpoint_of(folder: Path) -> Endpoint | None:
    """The server of the run whose folder this is, while it lives; None where there is none, or it has ended."""
    for path in folder.glob(f"*/{ENDPOINT}"):
        address, key = json.loads(path.read_text())
        parts = urlsplit(address)
        with contextlib.suppress(OSError):  # its run was killed and could not remove the file
            socket.create_connection((parts.hostname, parts.port), 2).close()
            return Endpoint(address, key)
    return None


def supervise(lock: Path, command: Sequence[str]) -> int:
    """Run the server until it ends or the run is gone, which closes the pipe at stdin; returns the exit code."""
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # released when this process ends, whatever ends it
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
        os.set_blocking(0, False)
        while server.poll() is None:
            if _is_closed(0):
                _end(server)
            time.sleep(0.1)
        with contextlib.suppress(ProcessLookupError, PermissionError):  # processes that it left behind
            os.killpg(server.pid, signal.SIGKILL)
        return server.returncode


def _is_closed(pipe: int) -> bool:
    try:
        return os.read(pipe, 1) == b""
    except BlockingIOError:
        return False


def _end(server: subprocess.Popen) -> None:
    server.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.wait(END_S)
    if server.poll() is None:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):
        # It ends when the run does, which may have work to finish on a signal.
        signal.signal(number, ignore_signal)
    sys.exit(supervise(Path(sys.argv[1]), sys.argv[2:]))
