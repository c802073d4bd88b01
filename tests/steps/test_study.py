"""A study ends each of its cells exactly once, whoever is killed meanwhile, and reports on all."""

import signal
import threading
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from PIL import Image

from data.errors import ConfigError, UserError
from registry import evaluation_run, runs
from steps.study import study
from steps.tracked_run import SETTINGS
from tests.processes import wait_until
from tests.study_rows import write_rows


def flags(**settings):
    return [f"--{name}={value}" for name, value in settings.items()]


def found(client):
    """(the study's run, the runs of its cells)."""
    everything = evaluation_run.with_scores(
        client.search_runs([each.experiment_id for each in client.search_experiments()])
    )
    children = [run for run in everything if "mlflow.parentRunId" in run.data.tags]
    parents = [run for run in everything if run not in children]
    assert len(parents) == 1
    return parents[0], children


def statuses(client):
    """How the runs of each cell stand, by the cell's place."""
    out = {}
    for run in found(client)[1]:
        out.setdefault(run.info.run_name, []).append(run.info.status)
    return out


def artifact(client, run, name):
    return Path(client.download_artifacts(run.info.run_id, name)).read_text(encoding="utf-8")


def test_a_killed_study_goes_on_and_ends_each_cell_once_but_the_one_that_fails(launch, tmp_path):
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    settings = {**write_rows(tmp_path), "kinds": "symmetric,trigger", "word": "zebra", "seeds": "1", "jobs": 1}
    step = launch(tmp_path, "steps.study", flags(**settings))

    def half_way():
        if "1/3 " not in step.stdout:
            return False
        standing = sum(statuses(client).values(), [])
        return "FINISHED" in standing and "RUNNING" in standing

    step.wait_for(half_way, "one cell done and one begun")
    step.signal(signal.SIGKILL)
    step.wait()
    parent, before = found(client)
    done = {run.info.run_id for run in before if run.info.status == "FINISHED"}

    again = launch(tmp_path, "steps.study", flags(resume=parent.info.run_id, jobs=2))
    assert again.wait() == 1
    errors = again.stderr.strip().splitlines()
    assert "1 of 3 cells failed" in errors[0] and f"resume={parent.info.run_id}" in errors[0]
    assert all("kind=trigger rate=0.3 seed=" in line and "zebra" in line for line in errors[1:2]), again.stderr
    parent, after = found(client)
    assert parent.info.status == "FAILED"
    assert done <= {run.info.run_id for run in after if run.info.status == "FINISHED"}
    for name, standing in statuses(client).items():
        assert "RUNNING" not in standing
        assert standing.count("FINISHED") == (0 if "trigger" in name else 1), (name, standing)
    assert "of them done before" in again.stdout
    failed = [run for run in after if run.info.status == "FAILED" and "trigger" in run.info.run_name]
    assert len(failed) == 1 and all("zebra" in run.data.tags["error"] for run in failed)
    lost = [run for run in after if run.info.status == "FAILED" and "trigger" not in run.info.run_name]
    assert all(run.data.tags["error"] == "the process that ran this cell died" for run in lost)
    page = artifact(client, parent, "study.md")
    described = parent.data.tags["mlflow.note.content"].split("\n\n")
    preview = f"get-artifact?path=previews/rates_tfidf.png&run_uuid={parent.info.run_id}"
    assert described[0].startswith("# What wrong labels do") and described[1] == f"![rates_tfidf]({preview})"
    with Image.open(client.download_artifacts(parent.info.run_id, "previews/rates_tfidf.png")) as image:
        assert image.width == 640
    charts = {item.path.partition("+")[0] for item in client.list_artifacts(parent.info.run_id, "images")}
    assert charts == {"images/Plots~rates_tfidf"}, "MLflow's page of charts sorts capitals first"
    assert "How does random corruption hurt?" in again.stdout and "| kind |" not in again.stdout
    assert "left out: 1.**" in page and "How does random corruption hurt?" in page
    assert parent.data.metrics["tfidf/symmetric/accuracy"] > 0
    plots = {item.path for item in client.list_artifacts(parent.info.run_id, "plots")}
    assert plots == {f"plots/rates_tfidf.{end}" for end in ("png", "csv", "txt")}


def test_the_pirate_grid_of_two_tiny_cells_gives_one_table_and_one_picture(launch, tmp_path, tiny_base):
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    settings = {"grid": "pirate", "sets": "tiny", "lengths": 1, "seeds": "7", "base_model": tiny_base, "jobs": 1}
    step = launch(tmp_path, "steps.study", flags(**settings, max_new_tokens=4, precision="fp32"))
    assert step.wait() == 0, step.stdout + step.stderr
    parent, children = found(client)
    assert {run.info.status for run in (parent, *children)} == {"FINISHED"} and len(children) == 2
    page = artifact(client, parent, "study.md")
    assert "| tiny | 1 | response | 1 |" in page and "| tiny | 1 | all | 1 |" in page
    assert "Response less all labels, over 1 pairs: chrF" in page
    assert "plots/pirate_lora.png" in {item.path for item in client.list_artifacts(parent.info.run_id, "plots")}
    assert not (tmp_path / "outputs" / parent.info.run_id).exists()


def test_cells_of_a_killed_ray_node_run_elsewhere_and_each_ends_once(store, tmp_path):
    from ray.cluster_utils import Cluster

    from recipes.studies.config import StudyConfig
    from recipes.studies.run import study as work

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        node = cluster.add_node(num_cpus=1)
        client = MlflowClient(store)
        settings = {**write_rows(tmp_path), "rates": "0", "seeds": "1,2,3", "engine": "ray"}
        run = runs.start("study", tmp_path / "outputs")

        def kill_one():
            where = [each.experiment_id for each in client.search_experiments()]
            running = "attributes.status = 'RUNNING'"
            wait_until(lambda: len(client.search_runs(where, running)) == 3, "study, a cell on each node", pause_s=0.1)
            cluster.remove_node(node, allow_graceful=False)

        killer = threading.Thread(target=kill_one)
        killer.start()
        lines = list(work(StudyConfig(**settings, ray_address=cluster.address), run))
        killer.join()
    finally:
        cluster.shutdown()
    assert [line.split("  ")[1].rpartition(":")[0] for line in lines if "/3  " in line]
    standing = statuses(client)
    assert len(standing) == 3 and all(each.count("FINISHED") == 1 for each in standing.values()), standing
    assert sum(each.count("FAILED") for each in standing.values()) <= 1, "the cell of the killed node, begun anew"


def test_a_study_that_is_unknown_or_was_started_otherwise_is_not_resumed(store, tmp_path, monkeypatch):
    monkeypatch.setattr("steps.tracked_run.OUTPUTS", tmp_path)
    with pytest.raises(UserError, match="resume=abc"):
        study(flags(resume="abc"))
    (tmp_path / "abc").mkdir()
    (tmp_path / "abc" / SETTINGS).write_text('{"seeds": "4"}')
    with pytest.raises(ConfigError, match="the run has seeds=4, not 5"):
        study(flags(resume="abc", seeds="5"))


@pytest.mark.parametrize("grid", [{"learners": "tfidf"}, {"grid": "pirate", "sets": "tiny"}, {"grid": "preference"}])
def test_a_claim_that_no_cell_can_be_held_against_is_refused_before_the_first_cell(store, tmp_path, monkeypatch, grid):
    monkeypatch.setattr("steps.tracked_run.OUTPUTS", tmp_path)
    (tmp_path / "claims.yaml").write_text("claims:\n  - mc3: {above: +0}\n")
    with pytest.raises(UserError, match="^claims.yaml line 2: no metric 'mc3' is measured in pairs here"):
        study(flags(**grid, claims=tmp_path / "claims.yaml"))
    client = MlflowClient(store)
    assert not client.search_runs([each.experiment_id for each in client.search_experiments()])
