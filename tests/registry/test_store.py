"""A store is created once, and one that can't be written is refused at once."""

import os
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
from mlflow.store.artifact.utils.models import _parse_model_uri
from mlflow.tracking import MlflowClient
from mlflow.utils.validation import _validate_model_name

from data.errors import UserError
from registry import runs, store
from train.config import name_problem

ROOT = Path(__file__).parents[2]
START = """
from pathlib import Path
from registry import runs, store
store.prepare(Path("outputs").absolute())
run = runs.start("first", Path("outputs").absolute())
run.log(0, {"train/loss": 1.0})
run.finish()
"""


def test_two_first_runs_on_one_new_store_both_finish(tmp_path):
    uri = f"sqlite:///{tmp_path / 'new' / 'mlflow.db'}"
    env = {**os.environ, "MLFLOW_TRACKING_URI": uri, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", START]
    both = [
        subprocess.Popen(command, cwd=tmp_path, env=env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        for _ in range(2)
    ]
    errors = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    client = MlflowClient(uri)
    found = client.search_runs([each.experiment_id for each in client.search_experiments()])
    assert [run.info.status for run in found] == ["FINISHED"] * 2
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["mlflow.db"]


def test_the_tables_that_are_created_are_mlflows_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    places = []
    for name in ("ours.db", "mlflows.db"):
        uri = f"sqlite:///{tmp_path / name}"
        monkeypatch.setattr(mlflow, "get_tracking_uri", lambda uri=uri: uri)
        if name == "ours.db":
            store.prepare(tmp_path / "outputs")
        places.append([each.artifact_location for each in MlflowClient(uri).search_experiments()])
    assert places[0] == places[1] and len(places[0]) == 1


@pytest.mark.parametrize("unwritable", ["store", "outputs"])
def test_a_store_or_a_folder_that_can_not_be_written_is_one_line_with_both_settings(tmp_path, monkeypatch, unwritable):
    (tmp_path / "file").write_text("")
    folders = {"store": tmp_path, "outputs": tmp_path, unwritable: tmp_path / "file"}
    monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: f"sqlite:///{folders['store'] / 'a' / 'mlflow.db'}")
    with pytest.raises(UserError, match=r"file.* can't be written .*MLFLOW_TRACKING_URI.*PARLEY_OUTPUTS") as caught:
        store.prepare(folders["outputs"] / "a")
    assert "\n" not in str(caught.value)


def test_a_working_folder_that_is_read_only_keeps_artifacts_beside_the_store(monkeypatch):
    assert store.artifact_location("sqlite:////kept/mlflow.db", "parley") is None
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert store.artifact_location("sqlite:////kept/mlflow.db", "parley") == "/kept/mlruns/parley"
    assert store.artifact_location("http://somewhere", "parley") is None


@pytest.mark.parametrize("sign", [*map(chr, range(1, 128)), "\u00e9", "\u65e5"])
def test_every_name_that_is_allowed_is_allowed_by_mlflow_and_found_by_its_uris(sign):
    for name in (sign, f"a{sign}", f"{sign}a", f"a{sign}b", sign * 2):
        if not name_problem(name):
            _validate_model_name(name)
            assert _parse_model_uri(f"models:/{name}/3")[1:3] == (name, "3")
            assert _parse_model_uri(f"models:/{name}@champion").name == name
    assert name_problem(f"a{sign}b") == "" or not sign.isalnum()


@pytest.mark.parametrize("parent", ["folder", "file"])
def test_a_run_whose_artifacts_can_not_be_written_is_moved_to_where_they_can(parent, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    client = MlflowClient()
    experiment = client.create_experiment("given", artifact_location=str(tmp_path / parent / "artifacts"))
    given = client.create_run(experiment).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", given)
    run = runs.start("first", tmp_path / "outputs")
    run.text("kept", "note.txt")
    assert run.run_id == given and [each.path for each in client.list_artifacts(given)] == ["note.txt"]
    assert (client.get_run(given).info.experiment_id == experiment) == (parent == "folder")


@pytest.mark.parametrize("uri", ["mlflow-artifacts:/1/2/artifacts", "s3://bucket/1", "http://somewhere/artifacts"])
def test_artifacts_elsewhere_are_not_taken_for_a_local_folder(uri, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert store.is_writable(uri) and not store.is_writable(str(tmp_path / "artifacts"))
