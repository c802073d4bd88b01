"""A cell ends once: by the first run that is written down, whatever became of the others."""

import threading

import pytest
from mlflow.tracking import MlflowClient

from registry import runs, study_runs


@pytest.fixture
def study(store, tmp_path):
    return runs.start("study", tmp_path / "outputs")


def begin(study, cell, tmp_path):
    return study_runs.start(study.run_id, cell, f"cell {cell}", {"rate": 0.3}, tmp_path / "outputs")


def status(run):
    return MlflowClient().get_run(run.run_id).info.status


def test_cells_are_found_under_their_study_alone(study, store, tmp_path):
    run = begin(study, "a1", tmp_path)
    runs.start("other", tmp_path / "outputs")
    (found,) = study_runs.children(study.run_id)
    assert (found.run_id, found.cell, found.status, found.tags["rate"]) == (run.run_id, "a1", "RUNNING", "0.3")
    assert study_runs.ended(study.run_id) == {}


def test_of_two_runs_of_a_cell_the_first_that_is_written_down_ends_it(study, tmp_path):
    both = [begin(study, "a1", tmp_path) for _ in range(2)]
    told: list[str] = []
    threads = [
        threading.Thread(target=lambda run=run: told.append(study_runs.claim(study.run_id, "a1", run.run_id)))
        for run in both
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 2 and len(set(told)) == 1
    assert study_runs.ended(study.run_id) == {"a1": told[0]}
    assert study_runs.claim(study.run_id, "a1", told[0]) == told[0]


def test_the_dead_are_failed_and_one_that_had_ended_its_cell_is_finished(study, tmp_path):
    dead, done, other = (begin(study, cell, tmp_path) for cell in ("a1", "b2", "c3"))
    study_runs.claim(study.run_id, "b2", done.run_id)
    assert study_runs.mark_failed(study.run_id, "killed", "b2") == []
    assert study_runs.mark_failed(study.run_id, "killed", "a1") == [dead.run_id]
    assert [status(run) for run in (dead, done, other)] == ["FAILED", "FINISHED", "RUNNING"]
    assert MlflowClient().get_run(dead.run_id).data.tags["error"] == "killed"
    assert study_runs.mark_failed(study.run_id, "killed") == [other.run_id]


def test_a_dead_run_leaves_no_version(study, tmp_path):
    client = MlflowClient()
    dead, done = begin(study, "a1", tmp_path), begin(study, "b2", tmp_path)
    client.create_registered_model("study")
    for run in (dead, done):
        client.create_model_version("study", str(tmp_path), run.run_id)
    study_runs.claim(study.run_id, "b2", done.run_id)
    study_runs.mark_failed(study.run_id, "killed")
    assert [version.run_id for version in client.search_model_versions("name = 'study'")] == [done.run_id]
