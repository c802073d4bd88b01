"""Scores before and after are in a child run, with the model and the test rows; readers find them as before."""

import pytest
from mlflow.tracking import MlflowClient

from registry import evaluation_run, runs, study_runs

SCORES = {4: {"base/chrf": 13.0, "test/chrf": 92.0, "test/nothing": float("nan")}}
ROWS = ("test", "0123abcd", "rows.jsonl", 45, "testing")


@pytest.fixture
def client(store):
    return MlflowClient(store)


@pytest.fixture
def run(store, tmp_path):
    run = runs.start("clean lora e8 s7", tmp_path / "outputs")
    run.log(1, {"train/loss": 2.0})
    run.flush()
    run.tags({"verdict": "healthy", "kind": "lora"})
    return run


def evaluations(client, run):
    experiment = client.get_run(run.run_id).info.experiment_id
    return client.search_runs([experiment], "tags.kind = 'evaluation'")


def test_a_run_keeps_its_curves_and_its_child_the_scores_with_model_and_rows(client, run):
    experiment = client.get_run(run.run_id).info.experiment_id
    model = client.create_logged_model(experiment, name="tuned", source_run_id=run.run_id)
    evaluation_run.record(run, SCORES, f"models:/{model.model_id}", ROWS)
    [child] = evaluations(client, run)
    assert client.get_run(run.run_id).data.metrics == {"train/loss": 2.0}
    assert child.data.metrics == {"base/chrf": 13.0, "test/chrf": 92.0}
    assert (child.info.run_name, child.info.status) == ("clean lora e8 s7 evaluation", "FINISHED")
    assert child.data.tags["verdict"] == "healthy" and child.data.tags["mlflow.parentRunId"] == run.run_id
    assert client.get_run(child.info.run_id).inputs.model_inputs[0].model_id == model.model_id
    of_model = {each.key: each for each in client.get_logged_model(model.model_id).metrics}
    assert of_model["test/chrf"].value == 92.0 and of_model["test/chrf"].dataset_digest == "0123abcd"


def test_a_resumed_run_scores_once_and_finishes_what_was_cut_short(client, run):
    evaluation_run.record(run, SCORES, "", ROWS)
    [first] = evaluations(client, run)
    evaluation_run.record(run, {4: {"test/chrf": 1.0}}, "", ROWS)
    assert [each.data.metrics["test/chrf"] for each in evaluations(client, run)] == [92.0]
    client.update_run(first.info.run_id, status="RUNNING")
    evaluation_run.record(run, SCORES, "", ROWS)
    [second] = evaluations(client, run)
    assert second.info.run_id != first.info.run_id and second.info.status == "FINISHED"


def test_scores_are_read_with_their_run_wherever_they_are(client, run, store):
    evaluation_run.record(run, SCORES, "", ROWS)
    old = client.create_run(client.get_run(run.run_id).info.experiment_id).info.run_id
    client.log_metric(old, "test/chrf", 50.0)  # as older code keeps them
    found = evaluation_run.with_scores(client.search_runs([client.get_run(old).info.experiment_id]))
    assert {each.info.run_id: each.data.metrics["test/chrf"] for each in found} == {run.run_id: 92.0, old: 50.0}
    assert evaluation_run.read(run.run_id).data.metrics["train/loss"] == 2.0
    assert evaluation_run.read(old).data.metrics == {"test/chrf": 50.0}


def test_the_cells_of_a_study_have_the_scores_of_their_evaluations(client, run, tmp_path):
    cell = study_runs.start(run.run_id, "digest", "learner=tfidf", {}, tmp_path)
    evaluation_run.record(cell, SCORES, "", ROWS)
    [child] = study_runs.children(run.run_id)
    assert (child.run_id, child.metrics["test/chrf"]) == (cell.run_id, 92.0)
