"""A run's metrics arrive once, in batches, and survive a server that does not answer."""

import json
import math
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

import registry.store
from data.errors import UserError
from registry import experiment, project_run, run_finalizer, runs, study_runs
from registry.errors import TrackingUnavailable
from registry.null_run import NullRun
from registry.runs import OUTBOX, Run
from tests.processes import free_port, wait_until

Lose = Callable[[Run], Run]


@pytest.fixture
def client(store: str) -> MlflowClient:
    return MlflowClient(store)


@pytest.fixture
def run(store: str, tmp_path: Path) -> Run:
    return runs.start("a run", tmp_path / "outputs")


def steps_of(client: MlflowClient, run: Run, key: str) -> list[int]:
    return [point.step for point in client.get_metric_history(run.run_id, key)]


@pytest.fixture
def out_of_reach(monkeypatch: pytest.MonkeyPatch) -> Lose:
    """Makes a run whose server nobody answers at."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    def lose(run: Run) -> Run:
        return Run(MlflowClient(f"http://127.0.0.1:{free_port()}"), run.run_id, run.folder)

    return lose


def test_metrics_are_buffered_until_they_are_flushed(client, run):
    run.log(1, {"train/loss": 3.0})
    assert steps_of(client, run, "train/loss") == []
    run.flush()
    assert steps_of(client, run, "train/loss") == [1]


def test_more_metrics_than_one_batch_takes_all_arrive(client, run):
    for step in range(1, 1301):
        run.log(step, {"train/loss": 1 / step, "epoch": step / 10})
    run.flush()
    assert steps_of(client, run, "train/loss") == list(range(1, 1301))
    assert run.history("epoch")[-1] == (1300, 130.0)


def test_values_that_are_no_finite_number_are_left_out(client, run):
    run.log(1, {"a": math.nan, "b": math.inf, "c": -math.inf, "d": 0.0})
    run.flush()
    assert client.get_run(run.run_id).data.metrics == {"d": 0.0}


def test_finishing_delivers_what_is_buffered_and_sets_the_status(client, run):
    run.log(2, {"eval/loss": 1.5})
    run.finish("KILLED")
    assert client.get_run(run.run_id).info.status == "KILLED"
    assert steps_of(client, run, "eval/loss") == [2]


@pytest.fixture
def busy(client, monkeypatch) -> Callable[[MlflowClient], None]:
    """Makes the first two writes of a client fail as where two processes wait for each other's SQLite lock."""

    def make_busy(client: MlflowClient) -> None:
        left = ["log_batch", "set_terminated", "set_terminated"]

        def refused_at_first(name, write):
            def call(*args, **settings):
                if name in left:
                    left.remove(name)
                    raise MlflowException("(sqlite3.OperationalError) database is locked")
                return write(*args, **settings)

            return call

        for name in set(left):
            monkeypatch.setattr(client, name, refused_at_first(name, getattr(client, name)))

    monkeypatch.setattr(registry.store, "LOCKED_PAUSE_S", 0.0)
    return make_busy


def test_a_run_that_is_stopped_while_the_store_is_locked_is_killed_all_the_same(client, run, busy, capsys):
    busy(run.client)
    run.log(2, {"eval/loss": 1.5})
    run.finish("KILLED")
    assert client.get_run(run.run_id).info.status == "KILLED"
    assert steps_of(client, run, "eval/loss") == [2] and not capsys.readouterr().out


def test_a_store_that_stays_locked_is_given_up_after_some_time(run, busy, monkeypatch, capsys):
    monkeypatch.setattr(registry.store, "LOCKED_TIMEOUT_S", -1.0)
    busy(run.client)
    run.log(2, {"eval/loss": 1.5})
    run.finish("KILLED")
    assert "database is locked" in capsys.readouterr().out and (run.folder / OUTBOX).is_file()


def test_a_failed_run_has_its_error_as_a_tag(client, run):
    run.fail(UserError("the lr is too high\nmore"))
    found = client.get_run(run.run_id)
    assert (found.info.status, found.data.tags["error"]) == ("FAILED", "the lr is too high")


def test_params_keep_the_spelling_that_mlflow_run_gave_them(client, store, tmp_path, monkeypatch):
    given = client.create_run(client.create_experiment("my own")).info.run_id
    client.log_param(given, "lr", "3.0e-3")
    monkeypatch.setenv("MLFLOW_RUN_ID", given)
    run = runs.start("pirate", tmp_path)
    run.params({"lr": 0.003, "epochs": 8, "targets": "x" * 7000})
    params = client.get_run(given).data.params
    assert (run.run_id, params["lr"], params["epochs"]) == (given, "3.0e-3", "8")
    assert len(params["targets"]) == runs.LONGEST_PARAM


@pytest.fixture
def given(client, monkeypatch) -> str:
    """The id of a run that ``mlflow run`` made in its default experiment for this process."""
    run_id = client.create_run("0", tags={"mlflow.project.entryPoint": "pirate"}).info.run_id
    client.log_param(run_id, "lr", "3.0e-3")
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    return run_id


def require_moved(client, run_id):
    found = client.get_run(run_id)
    assert client.get_experiment(found.info.experiment_id).name == "parley"
    assert (found.info.run_name, found.info.status) == ("clean lora s7", "RUNNING")
    assert found.data.params == {"lr": "3.0e-3"}
    assert found.data.tags["mlflow.project.entryPoint"] == found.data.tags["entry"] == "pirate"
    return found


def test_a_run_that_mlflow_made_in_its_default_experiment_goes_on_in_parleys_by_its_printed_id(client, tmp_path, given):
    run = runs.start("clean lora s7", tmp_path, {"entry": "pirate"})
    assert run.run_id == given, "mlflow run has printed it"
    found = require_moved(client, given)
    place = client.get_experiment(found.info.experiment_id).artifact_location
    assert found.info.artifact_uri == f"{place}/{given}/artifacts"
    run.text("a card", "model_card.md")
    run.log(1, {"eval/loss": 2.0})
    run.finish()
    assert [each.path for each in client.list_artifacts(given)] == ["model_card.md"]
    assert not client.search_runs(["0"]) and experiment.find("clean lora s7") == given


def test_at_a_tracking_server_such_a_run_is_copied(client, tmp_path, given, monkeypatch):
    later = []
    monkeypatch.setattr(project_run, "_database", lambda client: None)
    monkeypatch.setattr(run_finalizer, "later", lambda *args: later.append(args[:2]))
    monkeypatch.setattr(project_run.atexit, "register", lambda work, run_id: later.append((work.__name__, run_id)))
    require_moved(client, runs.start("clean lora s7", tmp_path, {"entry": "pirate"}).run_id)
    assert client.get_run(given).info.lifecycle_stage == "deleted"
    assert later == [("restore_run", given), ("remove", given)], "mlflow run sets the status of the one that it made"


def test_input_that_is_refused_leaves_no_run_and_no_folder(client, run):
    run.folder.mkdir(parents=True)
    assert not run.has_begun
    run.refuse()
    assert client.get_run(run.run_id).info.lifecycle_stage == "deleted" and not run.folder.exists()


def test_only_the_name_that_a_run_was_given_is_made_more_exact(client, run):
    run.rename("a run", "clean lora e8 s7")
    run.rename("a run", "another")
    assert client.get_run(run.run_id).info.run_name == "clean lora e8 s7"


def test_a_description_that_is_too_long_ends_with_the_file_that_has_all_of_it(client, run):
    run.describe("A line of the card.\n" * 1000, "model_card.md")
    kept = client.get_run(run.run_id).data.tags["mlflow.note.content"]
    assert len(kept) <= 8000 and kept.endswith("card.\n\n... model_card.md has all of it.")


def test_the_newest_run_is_no_child_and_none_that_was_removed(client, run, store, tmp_path):
    newer = runs.start("newer", tmp_path)
    newer.refuse()
    study_runs.start(run.run_id, "cell", "a cell", {}, tmp_path)
    found = experiment.newest(store)
    assert found and (found.name, found.run_id) == ("a run", run.run_id)


def test_a_reopened_run_gets_no_point_twice(client, run, tmp_path):
    for step in (1, 2, 3):
        run.log(step, {"train/loss": 1.0})
    run.finish("KILLED")
    again = runs.reopen(run.run_id, tmp_path / "outputs")
    assert client.get_run(run.run_id).info.status == "RUNNING"
    for step in (2, 3, 4):
        again.log(step, {"train/loss": 1.0, "new": 5.0})
    again.flush()
    assert steps_of(client, run, "train/loss") == [1, 2, 3, 4]
    assert steps_of(client, run, "new") == [2, 3, 4]


def test_an_unknown_run_can_not_be_reopened(store, tmp_path):
    with pytest.raises(UserError, match=f"resume={'a' * 32}: no such run at sqlite:"):
        runs.reopen("a" * 32, tmp_path)


@pytest.fixture
def ended() -> str:
    """The pid of a process that is no more."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return str(process.pid)


@pytest.mark.parametrize("status", ["FINISHED", "FAILED"])
def test_the_empty_run_of_mlflow_run_is_removed_once_that_has_set_its_status(client, run, ended, status):
    client.set_terminated(run.run_id, status)
    run_finalizer.main(["remove", run.run_id, ended])
    assert client.get_run(run.run_id).info.lifecycle_stage == "deleted"


def test_a_killed_run_that_mlflow_run_calls_failed_is_killed_again(client, run, ended):
    client.set_terminated(run.run_id, "FAILED")
    run_finalizer.main(["kill", run.run_id, ended])
    assert client.get_run(run.run_id).info.status == "KILLED"


def test_a_python_without_mlflow_leaves_the_removal_to_that_of_the_project(tmp_path, monkeypatch):
    monkeypatch.setattr(run_finalizer, "find_spec", lambda name: None)
    monkeypatch.setattr(run_finalizer, "ROOT", tmp_path)
    run_finalizer.later("remove", "a" * 32, "sqlite:///mlflow.db")  # nothing has MLflow: nothing happens
    python = tmp_path / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\necho "$3 $4" > {tmp_path}/part && mv {tmp_path}/part {tmp_path}/started\n')
    python.chmod(0o755)
    run_finalizer.later("remove", "a" * 32, "sqlite:///mlflow.db")
    started = tmp_path / "started"
    wait_until(started.is_file, "the start of the process")
    assert started.read_text() == f"remove {'a' * 32}\n"


def test_resuming_within_its_own_run_keeps_it(client, run, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_RUN_ID", run.run_id)
    runs.reopen(run.run_id, tmp_path / "outputs")
    assert client.get_run(run.run_id).info.lifecycle_stage == "active"


def test_what_can_not_be_sent_is_kept_and_a_line_names_the_folder(run, out_of_reach, capsys):
    lost = out_of_reach(run)
    lost.log(1, {"train/loss": 2.0})
    lost.flush()
    lost.log(2, {"train/loss": 1.0})
    lost.finish()
    kept = [json.loads(line) for line in (run.folder / OUTBOX).read_text().splitlines()]
    assert [(key, value, step) for key, value, _, step in kept] == [("train/loss", 2.0, 1), ("train/loss", 1.0, 2)]
    printed = capsys.readouterr().out
    assert printed.count("The tracking server does not answer") == 1 and str(run.folder) in printed


def test_what_was_kept_is_delivered_once_when_the_run_is_resumed(client, run, out_of_reach, tmp_path):
    run.log(1, {"train/loss": 3.0})
    run.flush()
    lost = out_of_reach(run)
    for step in (1, 2, 3):
        lost.log(step, {"train/loss": 4.0 - step})
    lost.flush()
    again = runs.reopen(run.run_id, tmp_path / "outputs")
    for step in (3, 4):  # step 3 was trained before the process died, but after the last resume point
        again.log(step, {"train/loss": 4.0 - step})
    again.flush()
    assert client.get_metric_history(run.run_id, "train/loss")[0].value == 3.0
    assert steps_of(client, run, "train/loss") == [1, 2, 3, 4]
    assert not (run.folder / OUTBOX).exists()


def test_a_server_that_does_not_answer_is_not_tried_at_every_flush(run, out_of_reach, monkeypatch):
    lost = out_of_reach(run)
    lost.log(1, {"a": 1.0})
    lost.flush()
    monkeypatch.setattr(runs, "RETRY_S", 1e9)
    lost.client = MlflowClient(runs.MlflowClient().tracking_uri)  # back again, but nobody asks yet
    lost.log(2, {"a": 1.0})
    lost.flush()
    assert lost.is_offline and len((run.folder / OUTBOX).read_text().splitlines()) == 2
    monkeypatch.setattr(runs, "RETRY_S", 0.0)
    lost.flush()
    assert not lost.is_offline and [step for step, _ in lost.history("a")] == [1, 2]


def test_waiting_for_the_server_ends_with_the_way_to_go_on(run, out_of_reach):
    lost = out_of_reach(run)
    lost.log(1, {"a": 1.0})
    with pytest.raises(
        TrackingUnavailable, match=rf"(?s)still does not answer.*kept in {run.folder}.*-P resume={run.run_id}"
    ):
        lost.require_server(timeout_s=0)


def test_a_run_that_failed_while_the_server_does_not_answer_still_shows_its_own_error(run, out_of_reach):
    lost = out_of_reach(run)
    lost.log(1, {"a": 1.0})
    lost.fail(UserError("the loss is no number"))
    assert (run.folder / OUTBOX).exists()


@pytest.mark.parametrize("begin", ["start", "resume"])
def test_a_server_that_can_not_be_reached_is_reported_in_one_line(begin, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    began = time.monotonic()
    with pytest.raises(TrackingUnavailable) as caught:
        if begin == "start":
            runs.start("pirate", tmp_path)
        else:
            runs.reopen("a" * 32, tmp_path)
    assert time.monotonic() - began < 60
    assert "http://127.0.0.1:" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["t.json", "tables/t.json"])
def test_a_table_that_a_resumed_run_keeps_again_takes_the_place_of_the_first(client, run, name):
    experiment = client.get_run(run.run_id).info.experiment_id
    for rows in ([{"a": "x", "b": "y"}, {"a": "z", "b": "u"}], [{"a": "v", "b": "w"}, {"a": "s", "b": "t"}]):
        run.table(rows, name)
        assert client.load_table(experiment, name).to_dict("records") == rows


def test_datasets_tables_texts_and_files_are_kept(client, run, tmp_path):
    run.datasets([("clean train", "0123", "clean", 250, "training"), ("test", "4567", "clean", 45, "testing")])
    run.table([{"prompt": "Hi.", "base": "a", "tuned": "b"}, {"prompt": "Bye.", "base": "c", "tuned": "d"}], "t.json")
    run.text("words", "folder/words.txt")
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "one.txt").write_text("1")
    run.folder_of_files(tmp_path / "made", "made")
    run.file(tmp_path / "made" / "one.txt")
    inputs = client.get_run(run.run_id).inputs.dataset_inputs
    found = {given.dataset.name: (given.dataset.digest, given.tags[0].value) for given in inputs}
    assert found == {"clean train": ("0123", "training"), "test": ("4567", "testing")}
    assert client.load_table(client.get_run(run.run_id).info.experiment_id, "t.json").shape[0] == 2
    assert {entry.path for entry in client.list_artifacts(run.run_id)} == {"folder", "made", "one.txt", "t.json"}


def test_a_discarded_run_leaves_no_folder_unless_something_waits_in_it(run, out_of_reach):
    lost = out_of_reach(run)
    lost.log(1, {"a": 1.0})
    lost.flush()
    lost.discard()
    assert (run.folder / OUTBOX).exists()
    run.discard()
    assert not run.folder.exists()


def test_a_helping_process_writes_nothing(tmp_path):
    silent = NullRun("a" * 32, tmp_path / "none")
    silent.log(1, {"a": 1.0})
    silent.flush()
    silent.fail(UserError("x"))
    silent.finish()
    silent.discard()
    assert not (tmp_path / "none").exists()


def test_runs_that_start_at_the_same_moment_do_not_disturb_each_other(store, tmp_path):
    rows = [(f"set {i}", "0123", "clean", 10, "training") for i in range(5)]
    together = threading.Barrier(4)

    def begin(_: int) -> Run:
        together.wait()
        run = runs.start("pirate", tmp_path)
        together.wait()
        run.datasets(rows)
        return run

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(begin, range(4)))
    client = MlflowClient(store)
    assert len({client.get_run(run.run_id).info.experiment_id for run in found}) == 1
    assert all(len(client.get_run(run.run_id).inputs.dataset_inputs) == 5 for run in found)
