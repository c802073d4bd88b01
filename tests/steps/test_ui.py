"""The UI shows the project's own store, on loopback alone, on the next free port where the wanted one is taken."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest

from data.errors import UserError
from steps import ui
from steps.flags import parse


@pytest.fixture
def taken():
    """A port that something listens at, and below those that the system gives to other processes meanwhile."""
    with socket.socket() as listener:
        listener.bind((ui.HOST, ui.free_port(random.randrange(20_000, 30_000))))
        listener.listen()
        yield listener.getsockname()[1]


def test_the_wanted_port_is_taken_when_it_is_free(taken):
    free = ui.free_port(taken + 1)
    assert ui.free_port(free) == free


def test_the_next_free_port_is_taken_when_the_wanted_one_is_not(taken):
    assert taken < ui.free_port(taken) < taken + ui.PORTS_TRIED


def test_no_free_port_is_an_error_that_names_the_port(taken, monkeypatch):
    monkeypatch.setattr(ui, "PORTS_TRIED", 1)
    with pytest.raises(UserError, match=str(taken)):
        ui.free_port(taken)


@pytest.mark.parametrize("port", ["0", "80", "70000", "-1", "http"])
def test_a_port_that_is_none_is_refused(port):
    with pytest.raises(UserError, match="port"):
        parse(ui.UiConfig, ["--port", port])


def test_the_store_is_the_one_that_runs_of_this_folder_write_to(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    import mlflow

    assert ui.store_uri() == mlflow.get_tracking_uri() == f"sqlite:///{tmp_path}/mlflow.db"


def test_nothing_is_sent_to_mlflows_makers():
    import registry  # noqa: F401

    assert ui.QUIET["MLFLOW_DISABLE_TELEMETRY"] == os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_the_server_listens_on_loopback_only():
    command = ui.command("sqlite:////tmp/mlflow.db", 5123)
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert command[command.index("--port") + 1] == "5123"


def test_a_remote_server_is_named_and_nothing_is_started(monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://tracking.example")
    monkeypatch.setattr(ui.subprocess, "Popen", lambda *_, **__: pytest.fail("a server was started"))
    ui.ui([])
    assert "https://tracking.example" in capsys.readouterr().out


def test_a_server_that_ends_at_once_is_an_error():
    server = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(UserError, match="exit code 3"):
        ui.wait_for(server, ui.free_port(20000))


def test_the_ui_answers_beside_a_taken_port_and_ends_with_ctrl_c(tmp_path, taken):
    log = tmp_path / "log"
    env = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}"}
    with log.open("w") as out:
        command = [sys.executable, "-m", "steps.ui", "--port", str(taken)]
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=tmp_path, env=env)
    try:
        address = _address(log, process)
        assert f"(port {taken} is taken)" in log.read_text()
        with urlopen(address, timeout=240) as page:
            assert b"MLflow" in page.read()
        assert _artifact_root(tmp_path / "mlflow.db") == f"{tmp_path}/mlruns/0"
        process.send_signal(signal.SIGINT)
        assert process.wait(300) == 0
        assert "has stopped" in log.read_text()
        assert ui.free_port(int(address.rpartition(":")[2])) == int(address.rpartition(":")[2])
    finally:
        process.kill()


def _address(log: Path, process: subprocess.Popen) -> str:
    until = time.monotonic() + ui.START_TIMEOUT_S
    while time.monotonic() < until and process.poll() is None:
        found = [word for word in log.read_text().split() if word.startswith("http://127")]
        if found:
            return found[0]
        time.sleep(0.2)
    raise AssertionError(log.read_text())


def _artifact_root(database: Path) -> str:
    import sqlite3

    with sqlite3.connect(database) as rows:
        return rows.execute("select artifact_location from experiments where experiment_id = 0").fetchone()[0]
