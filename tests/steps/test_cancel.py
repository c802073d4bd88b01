"""The job of a run is cancelled from anywhere, and what can't be cancelled is reported."""

import pytest

from data.errors import UserError
from openai_jobs.jobs import ADDRESS_TAG, JOB_TAG
from registry import runs
from steps.cancel import cancel
from steps.monitor import monitor


@pytest.fixture
def job(store, fake_openai, tmp_path):
    """An API and a run whose job is there."""
    fake = fake_openai(steps=100)
    run = runs.start("noisy", tmp_path / "outputs")
    file_id = fake.keep_file("f", b"x", "fine-tune")["id"]
    made = fake._create({"model": "gpt-4o-mini", "training_file": file_id})
    run.tags({JOB_TAG: made["id"], ADDRESS_TAG: fake.address})
    return fake, run


def test_a_job_is_cancelled_once_and_its_status_printed(job, capsys):
    fake, run = job
    for _ in range(2):
        cancel(["--run_id", run.run_id])
    assert fake.jobs["ftjob-1"]["status"] == "cancelled"
    assert capsys.readouterr().out.splitlines() == ["ftjob-1 cancelled", "ftjob-1 was cancelled before"]
    with pytest.raises(UserError, match="ftjob-1 cancelled: somebody cancelled it; nothing was registered"):
        monitor(["--run_id", run.run_id])


def test_a_job_that_has_ended_can_not_be_cancelled(job):
    fake, run = job
    fake.jobs["ftjob-1"]["status"] = "succeeded"
    with pytest.raises(UserError, match="ftjob-1 can't be cancelled: it has succeeded already"):
        cancel(["--run_id", run.run_id])


def test_a_job_that_ends_meanwhile_is_reported_with_the_server_s_reason(job):
    fake, run = job
    end = {"GET": False}

    def ends(number, method, path):
        fake.jobs["ftjob-1"]["status"] = "failed" if end["GET"] else "running"
        end["GET"] = True

    fake.before = ends
    with pytest.raises(UserError, match="refuses to cancel ftjob-1 .*the job has failed already"):
        cancel(["--run_id", run.run_id])
