"""The whole way through OpenAI's API without OpenAI: a local server, the real SDK, weights in this run's store."""

import contextlib
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from data.errors import UserError
from openai_jobs.local_server import LocalServer
from registry import evaluation_run, versions
from steps.dpo import dpo
from steps.noisy import noisy
from tests.processes import ROOT, wait_until
from tests.steps.test_dpo import preferences
from tests.steps.test_dpo import write_rows as write_pairs
from tests.study_rows import write_rows


@pytest.fixture(scope="module")
def done(settle, tmp_path_factory):
    """(the client of the store, the run, what was printed, the folder) of a finished job."""
    folder = tmp_path_factory.mktemp("parley")
    with pytest.MonkeyPatch.context() as patch:
        client = MlflowClient(settle(folder, patch))
        for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
            patch.delenv(name, raising=False)
        rows = write_rows(folder)
        flags = [f"--{name}={rows[name]}" for name in ("dataset", "test_dataset")]
        flags += ["--provider=parley", "--n_train=0", "--n_test=10", "--n_memory=0", "--epochs=2", "--rate=0.2"]
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            noisy(flags)
        [run] = client.search_runs([client.get_experiment_by_name("parley").experiment_id], "tags.entry = 'noisy'")
        yield client, run, printed.getvalue(), folder


def test_each_epoch_is_a_version_with_weights_on_this_machine(done):
    client, run, _, _ = done
    found = versions.versions("noisy")[::-1]
    assert [version.tags["kind"] for version in found] == ["lora", "lora"]
    assert all(version.run_id == run.info.run_id and version.tags["base_digest"] for version in found)
    assert found[1].tags["openai_id"].startswith("ft:bundled:parley:noisy-symmetric-0-2:")
    assert client.get_run(run.info.run_id).data.tags["openai_address"] == "private"
    assert "test/accuracy" in found[1].tags
    [answer] = mlflow.pyfunc.load_model("models:/noisy/2").predict(["Is it good?"])
    assert isinstance(answer, str)


def test_the_run_has_the_curves_of_its_job(done):
    client, run, _, _ = done
    steps = {m.step for m in client.get_metric_history(run.info.run_id, "train/loss")}
    assert steps == set(range(1, max(steps) + 1))
    assert "train/loss_corrected" not in run.data.metrics  # no token is hidden there
    names = {entry.path for entry in client.list_artifacts(run.info.run_id, "openai")}
    assert {"openai/answers.jsonl", "openai/step_metrics.csv", "openai/checkpoints.json"} <= names


def test_neither_server_nor_folder_is_left(done):
    _, run, printed, _ = done
    assert "a local server of this run is started" in printed
    assert not (Path(os.environ["PARLEY_OUTPUTS"]) / run.info.run_id).exists()


def test_preferences_are_trained_by_a_job_at_a_server_of_the_run(done, tiny_base):
    """Files, method and events over HTTP, then the weights of the job as a version of the run."""
    client, _, _, folder = done
    pairs = write_pairs(folder / "pairs.jsonl", preferences(24))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        dpo([f"--{name}={value}" for name, value in {
            "provider": "parley", "base_model": tiny_base, "dataset": pairs, "epochs": 1, "max_new_tokens": 6,
            "beta": 0.2,
        }.items()])  # fmt: skip
    version = versions.resolve("dpo/1")
    run = evaluation_run.read(version.run_id)
    assert (run.info.status, run.data.params["beta"]) == ("FINISHED", "0.2")
    assert (version.tags["kind"], version.tags["openai_id"][:3]) == ("dpo", "ft:") and version.tags["base_digest"]
    steps = [point.step for point in client.get_metric_history(version.run_id, "train/loss")]
    assert steps == list(range(1, max(steps) + 1)) and "train/reward_accuracy" in run.data.metrics
    assert {"base/answer_words", "test/answer_words"} <= run.data.metrics.keys()
    assert "Version   dpo/1" in printed.getvalue()
    [answer] = mlflow.pyfunc.load_model("models:/dpo/1").predict(["Is the cat near the dog?"])
    assert isinstance(answer, str)


STAND_IN = """
import http.server, pathlib, sys
port = int(sys.argv[sys.argv.index("--port") + 1])
pathlib.Path("started").write_text(str(__import__("os").getpid()))
class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self): self.send_response(200); self.end_headers()
    def log_message(self, *args): pass
http.server.HTTPServer(("127.0.0.1", port), Healthy).serve_forever()
"""


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_server_ends_with_its_run_even_by_a_kill(tmp_path):
    owner = (
        "import sys, time; from pathlib import Path; from openai_jobs.local_server import LocalServer\n"
        "server = LocalServer(Path('.'), 'sqlite:///x.db', [sys.executable, '-c', Path('stand_in.py').read_text()])\n"
        "server.wait(); Path('ready').touch(); time.sleep(600)"
    )
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", owner], cwd=tmp_path, env=env)
    try:
        wait_until((tmp_path / "ready").exists, "the server")
    finally:
        process.kill()
        process.wait()
    pid = int((tmp_path / "started").read_text())
    wait_until(lambda: not alive(pid), "the server's end")


def test_a_server_that_does_not_start_is_reported_with_the_end_of_its_log(tmp_path):
    command = [sys.executable, "-c", "print('the disk is on fire')"]
    server = LocalServer(tmp_path, "sqlite:///x.db", command)
    start = time.monotonic()
    with pytest.raises(UserError, match="the local server ended: the disk is on fire"):
        server.wait()
    assert time.monotonic() - start < 60


def test_its_key_goes_by_the_environment_alone(tmp_path):
    show = "import json, os, sys; print(json.dumps([sys.argv, dict(os.environ)]))"
    server = LocalServer(tmp_path, "sqlite:///x.db", [sys.executable, "-c", show])
    with pytest.raises(UserError):
        server.wait()
    argv, env = json.loads((tmp_path / "server.log").read_text().splitlines()[-1])
    assert env["PARLEY_SERVE_KEY"] == server.endpoint.api_key and len(server.endpoint.api_key) >= 40
    assert all(server.endpoint.api_key not in word for word in argv)
    assert env["MLFLOW_TRACKING_URI"] == "sqlite:///x.db" and "OPENAI_API_KEY" not in env
