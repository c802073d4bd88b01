"""The job of a run is followed from anywhere, and what the store has is not written twice."""

import json
import signal

import pytest
from mlflow.tracking import MlflowClient

from data.errors import ConfigError, UserError
from openai_jobs.events import Correction
from openai_jobs.jobs import ADDRESS_TAG, JOB_TAG
from openai_jobs.local_server import ENDPOINT
from openai_jobs.monitor import correction_tag
from registry import runs
from steps.cli import OUTPUTS
from steps.monitor import monitor
from tests.fake_openai import KEY
from tests.processes import free_port


@pytest.fixture
def job(store, fake_openai, tmp_path, monkeypatch):
    """``job(name=value)``: an API that is so, and a run whose job is there."""

    def job(tagged=True, **settings):
        monkeypatch.setattr("openai_jobs.monitor.SHORTEST_S", 0.01)
        fake = fake_openai(**{"steps": 9, **settings})
        run = runs.start("noisy", tmp_path / "outputs")
        file_id = fake.keep_file("f", b"x", "fine-tune")["id"]
        made = fake._create({"model": "gpt-4o-mini", "training_file": file_id, "metadata": {"parley_run": run.run_id}})
        if tagged:
            run.tags({JOB_TAG: made["id"], ADDRESS_TAG: fake.address, **correction_tag(Correction(1.0, 2))})
        return fake, run

    return job


def follow(run):
    monitor(["--run_id", run.run_id])


def points(run, key):
    return {m.step: m.value for m in MlflowClient().get_metric_history(run.run_id, key)}


def test_the_job_s_curves_files_and_news_arrive(job, capsys):
    fake, run = job()
    follow(run)
    printed = capsys.readouterr().out.splitlines()
    model = fake.jobs["ftjob-1"]["fine_tuned_model"]
    assert printed[-2:] == [
        f"Model   {model}",
        f"Next    mlflow run . -e noisy -P resume={run.run_id}   evaluates and registers it, on the machine where the "
        "run was started",
    ]
    assert "Event   The job has successfully completed" in printed
    assert points(run, "train/loss").keys() == points(run, "train/loss_corrected").keys() == set(range(1, 10))
    names = {entry.path for entry in MlflowClient().list_artifacts(run.run_id, "openai")}
    assert names == {f"openai/{name}" for name in ("checkpoints.json", "events.jsonl", "job.json", "step_metrics.csv")}


def test_a_second_look_adds_nothing_to_the_curves_and_leaves_the_run_s_status(job):
    _, run = job()
    for _ in range(2):
        follow(run)
    assert len(MlflowClient().get_metric_history(run.run_id, "train/loss")) == 9
    assert MlflowClient().get_run(run.run_id).info.status == "RUNNING"


def test_the_job_of_a_run_that_died_before_tagging_it_is_found_by_the_run_s_id(job, capsys):
    _, run = job(tagged=False)
    follow(run)
    assert "ftjob-1 succeeded" in capsys.readouterr().out


def test_a_failed_job_is_reported_with_its_reason(job):
    _, run = job(fails={"code": "exceeded_quota", "message": f"no money, {KEY}", "param": None})
    with pytest.raises(UserError, match=r"ftjob-1 failed: exceeded_quota: no money, \*\*\*"):
        follow(run)


def test_what_is_not_there_is_named(job, fake_openai, monkeypatch):
    fake, run = job()
    with pytest.raises(ConfigError, match="run_id names the run whose job is meant"):
        monitor([])
    with pytest.raises(UserError, match="run_id=nothing: no such run"):
        monitor(["--run_id", "nothing"])
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{free_port()}/v1")
    with pytest.raises(UserError, match=f"its job is at {fake.address}; set OPENAI_BASE_URL to that"):
        follow(run)
    run.tags({JOB_TAG: "", ADDRESS_TAG: ""})
    with pytest.raises(UserError, match="can't be reached"):
        follow(run)
    fake.jobs.clear()
    monkeypatch.setenv("OPENAI_BASE_URL", fake.address)
    with pytest.raises(UserError, match="has no job of this run"):
        follow(run)
    run.tags({ADDRESS_TAG: "private"})
    with pytest.raises(UserError, match=f"lives only while the run does.*-P resume={run.run_id}"):
        follow(run)
    run.tags({"registered_version": "noisy/4"})
    with pytest.raises(UserError, match="nothing to follow: the run registered noisy/4; make ui shows its curves"):
        follow(run)
    monkeypatch.delenv("OPENAI_API_KEY")
    run.tags({ADDRESS_TAG: ""})
    with pytest.raises(ConfigError, match="set OPENAI_API_KEY"):
        follow(run)


def test_a_job_at_a_server_of_the_run_s_own_is_followed_while_that_lives(job, monkeypatch, capsys):
    fake, run = job()
    run.tags({ADDRESS_TAG: "private"})
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name)
    place = OUTPUTS / run.run_id / "openai" / ENDPOINT
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps([fake.address, KEY]))
    follow(run)
    assert "ftjob-1 succeeded" in capsys.readouterr().out
    place.write_text(json.dumps([f"http://127.0.0.1:{free_port()}/v1", KEY]))
    with pytest.raises(UserError, match="lives only while the run does"):
        follow(run)


def test_stopping_it_stops_nothing_else(launch, job, store, tmp_path):
    fake, run = job(steps=10_000, steps_a_look=1)
    (tmp_path / "elsewhere").mkdir()
    watching = launch(
        tmp_path / "elsewhere", "steps.monitor", ["--run_id", run.run_id], MLFLOW_TRACKING_URI=store
    )  # fmt: skip
    watching.wait_for(lambda: "running" in watching.stdout, "the job running")
    watching.signal(signal.SIGINT)
    assert watching.wait() == 130
    assert f"ftjob-1 goes on; watch it again: mlflow run . -e monitor -P run_id={run.run_id}" in watching.stdout
    assert fake.jobs["ftjob-1"]["status"] == "running"
