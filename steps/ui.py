"""``mlflow run . -e ui``: the MLflow UI over this project's runs and versions, for this computer only."""

import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from data.errors import ConfigError, UserError
from steps.cli import Stopped, main
from steps.flags import parse

HOST = "127.0.0.1"
PORTS_TRIED = 50
START_TIMEOUT_S = 90.0


@dataclass(frozen=True)
class UiConfig:
    """The MLflow UI, on this computer only."""

    port: int = 5000
    """Port of the page; the next free one is taken where it is in use."""

    def __post_init__(self) -> None:
        if not 1024 <= self.port <= 65535:
            raise ConfigError(f"port must be from 1024 to 65535, not {self.port}")


def ui(argv: list[str]) -> None:
    """Serve the UI until Ctrl-C; a remote tracking server has one already, so only its address is printed."""
    config = parse(UiConfig, argv)
    store = store_uri()
    discard_own_run()
    if store.startswith(("http://", "https://")):
        print(f"Runs and versions are kept at {store}; its pages show them.")
        return
    port = free_port(config.port)
    print("Starting the MLflow UI ...", flush=True)
    server = subprocess.Popen(command(store, port), env={**os.environ, **QUIET})
    try:
        wait_for(server, port)
        taken = f" (port {config.port} is taken)" if port != config.port else ""
        address = f"http://{HOST}:{port}"
        print("\n".join([f"MLflow UI: {address}{taken}", *newest(store, address), "Ctrl-C stops it."]), flush=True)
        if server.wait():
            raise UserError(f"the MLflow UI ended with exit code {server.returncode}")
    except Stopped:
        print("\nThe MLflow UI has stopped.")
    finally:
        end(server)


def store_uri() -> str:
    """Where runs are kept: MLFLOW_TRACKING_URI, or the database that runs started in this folder write to."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path('mlflow.db').resolve()}"


def newest(store: str, address: str) -> list[str]:
    """A line with the page of the newest run in the UI at ``address``; none where there is no run."""
    from registry import experiment

    run = experiment.newest(store)
    return [f"Newest run: {run.name}, {address}/#/experiments/{run.experiment_id}/runs/{run.run_id}"] if run else []


#: The UI needs none of the server's background jobs; warnings of its libraries, and its own lines at the start, are
#: hidden. Nothing is sent to MLflow's makers. The panel of its assistant has no such switch.
QUIET = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "PYTHONWARNINGS": "ignore", "MLFLOW_DISABLE_TELEMETRY": "true",
         "MLFLOW_LOGGING_LEVEL": "WARNING"}  # fmt: skip


def command(store: str, port: int) -> list[str]:
    """The server's command line: MLflow's own, on loopback, with one worker.

    The artifact root is the one that runs without a server use. Left out, a UI started before the first run would
    make the default experiment with ``mlflow-artifacts:``, which no run can write to without a server.
    """
    kept = ["--backend-store-uri", store, "--default-artifact-root", str(Path("mlruns").resolve())]
    served = ["--host", HOST, "--port", str(port), "--workers", "1", "--uvicorn-opts", "--log-level warning"]
    return [sys.executable, "-m", "mlflow", "ui", *kept, *served]


def free_port(wanted: int) -> int:
    """The first port from ``wanted`` on that nothing listens at.

    Raises:
        UserError: fifty in a row are taken.
    """
    for port in range(wanted, min(wanted + PORTS_TRIED, 65536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise UserError(f"port {wanted} and those after it are taken; name another one")


def wait_for(server: subprocess.Popen[bytes], port: int, timeout_s: float = START_TIMEOUT_S) -> None:
    """Return when the server takes connections.

    Raises:
        UserError: it ends, or does not answer for ``timeout_s``.
    """
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        if server.poll() is not None:
            raise UserError(f"the MLflow UI did not start (exit code {server.returncode}); its messages above say why")
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.2)
    raise UserError(f"the MLflow UI did not answer at {HOST}:{port} within {timeout_s:g} s")


def end(server: subprocess.Popen[bytes], timeout_s: float = 10) -> None:
    """Terminate the server; kill it where it has not ended after ``timeout_s``."""
    server.terminate()
    try:
        server.wait(timeout_s)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def discard_own_run() -> None:
    """Remove the empty run that ``mlflow run`` made for this process: nothing is trained."""
    if os.environ.get("MLFLOW_RUN_ID"):
        from registry import project_run

        project_run.discard_given()


if __name__ == "__main__":
    main(ui)
