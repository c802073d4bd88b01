"""Real processes for tests: steps that can be watched, stopped and killed, and an MLflow server that can go away."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.error import URLError
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_S = 300.0

T = TypeVar("T")


def wait_until(condition: Callable[[], T], what: str, patience_s: float = PATIENCE_S, pause_s: float = 0.01) -> T:
    """The first true value of ``condition()``; fails the test, naming ``what``, if none comes within ``patience_s``."""
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        found = condition()
        if found:
            return found
        time.sleep(pause_s)
    raise AssertionError(f"{what} did not happen within {patience_s:g} s")


def free_port() -> int:
    """A port of the loopback interface that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Step:
    """A started step: its output, its end, and signals to it."""

    def __init__(self, launcher: "Launcher", pid: int, stdout: Path, stderr: Path):
        self.launcher, self.pid = launcher, pid
        self._stdout, self._stderr = stdout, stderr
        self.code: int | None = None

    @property
    def stdout(self) -> str:
        """What it has printed so far."""
        return self._stdout.read_text()

    @property
    def stderr(self) -> str:
        """What it has written to stderr so far."""
        return self._stderr.read_text()

    def poll(self) -> int | None:
        """Its exit code (negative: the signal that ended it), or None while it runs."""
        if self.code is None:
            self.code = self.launcher.ask({"poll": self.pid})
        return self.code

    def wait(self) -> int:
        """Its exit code, once it has ended."""
        wait_until(lambda: self.poll() is not None, f"the end of {self._stdout.name}", pause_s=0.05)
        assert self.code is not None
        return self.code

    def wait_for(self, condition: Callable[[], T], what: str) -> T:
        """The first true value of ``condition()``; fails the test at once if the step ends before."""

        def seen() -> T | bool:
            found = condition()
            assert found or self.poll() is None, f"ended before {what}:\n{self.stdout}\n{self.stderr}"
            return found

        return wait_until(seen, what, pause_s=0.03)  # type: ignore[return-value]

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        if self.poll() is None:
            os.kill(self.pid, number)


class Launcher:
    """Starts steps from a parent that has torch and MLflow imported, so that each is up within a second."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._started: list[Step] = []
        command = [sys.executable, "-W", "ignore", str(Path(__file__).with_name("warm_start.py"))]
        self._parent = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self._ready = False

    def ask(self, order: Mapping[str, Any]) -> Any:
        """Give the parent an order and return its answer."""
        assert self._parent.stdin and self._parent.stdout
        if not self._ready:
            self._ready = json.loads(self._parent.stdout.readline()) == "ready"
        self._parent.stdin.write(json.dumps(order) + "\n")
        self._parent.stdin.flush()
        return json.loads(self._parent.stdout.readline())

    def start(
        self, module: str, argv: Sequence[object], env: Mapping[str, str], cwd: Path, largest_file: int = 0
    ) -> Step:
        """Start ``python -m module argv`` in ``cwd`` with ``env`` on top of this process's environment.

        Args:
            largest_file: bytes that no file it writes may exceed; 0 sets no limit.
        """
        number = len(self._started)
        out, err = (self.folder / f"{number}.{name}" for name in ("out", "err"))
        out.touch()
        err.touch()
        order = {
            "module": module,
            "argv": [str(word) for word in argv],
            "env": {**os.environ, **env},
            "cwd": str(cwd),
            "stdout": str(out),
            "stderr": str(err),
            "largest_file": largest_file,
        }
        step = Step(self, self.ask({"start": order}), out, err)
        self._started.append(step)
        return step

    def close(self) -> None:
        """End everything that was started."""
        for step in self._started:
            step.signal(signal.SIGKILL)
        self._parent.communicate(timeout=240)


class TrackingServer:
    """An ``mlflow server`` on a port of its own that can be taken away and brought back."""

    def __init__(self, folder: Path):
        self.folder, self.port = folder, free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start it, on the same store and port each time, and wait until it answers."""
        command = [str(Path(sys.executable).with_name("mlflow")), "server", "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{self.folder / 'server.db'}"]
        command += ["--artifacts-destination", str(self.folder / "artifacts")]
        env = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self.folder, env=env, stdout=log, stderr=log, start_new_session=True
            )
        wait_until(self._answers, "an answer of mlflow server", pause_s=0.1)
        return self

    def _answers(self) -> bool:
        assert self._process and self._process.poll() is None, (self.folder / "server.log").read_text()
        try:
            with urlopen(f"{self.uri}/health", timeout=60) as answer:
                return answer.status == 200
        except (URLError, OSError):
            return False

    def stop(self) -> None:
        """Take it away at once, its workers too."""
        if self._process:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
