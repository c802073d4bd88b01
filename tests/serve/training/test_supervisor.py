"""What becomes of a job whose worker ends, is stopped, or crashes, with workers that train nothing."""

import io

import pytest

from serve.config import ServeConfig
from serve.model_names import ModelNames
from serve.store import files, jobs
from serve.store.database import Database
from serve.store.training_file import Checked
from serve.training import supervisor as module
from serve.training.supervisor import MAX_CRASHES, Supervisor
from tests.processes import wait_until


@pytest.fixture
def database(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'serve.db'}")
    yield database
    database.close()


@pytest.fixture
def supervise(database, tmp_path, monkeypatch):
    """``supervise(behaviour)`` starts a supervisor whose workers behave so."""
    monkeypatch.setattr(module, "MAX_BACKOFF_S", 0.1)
    monkeypatch.setattr(module, "POLL_S", 0.05)
    monkeypatch.setattr(module.worker, "__name__", "tests.serve.training.fake_worker")
    started = []

    def start(behaviour):
        monkeypatch.setenv("FAKE_WORKER", behaviour)
        started.append(Supervisor(database, ServeConfig(), tmp_path))
        started[0].start()
        return started[0]

    yield start
    for each in started:
        each.close()


def new_job(database):
    file_id = files.add(database, io.BytesIO(b"{}"), "a.jsonl", "fine-tune", checked=Checked(10, "supervised"))["id"]
    fields = {"model": "bundled", "training_file": file_id, "validation_file": None, "seed": 1, "suffix": None,
              "method": "supervised", "hyperparameters": {}, "metadata": {}, "integrations": []}  # fmt: skip
    return jobs.create(database, fields, ModelNames("bundled", {}), "parley", 9, "")


def row_of(database, job_id):
    with database.read() as connection:
        return jobs.row_of(connection, job_id)


def wait_for(database, job_id, status):
    wait_until(lambda: row_of(database, job_id)["status"] == status, f"{job_id} to be {status}", pause_s=0.05)


def test_a_job_whose_worker_crashes_again_and_again_fails_with_the_last_line_of_its_log(database, supervise, tmp_path):
    job_id = new_job(database)
    supervise("crash")
    wait_for(database, job_id, "failed")
    error = jobs.get(database, job_id)["error"]
    assert error["code"] == "server_error" and error["message"].endswith("crash was the last line")
    assert f"{MAX_CRASHES + 1} times" in error["message"]
    log = tmp_path / "serve" / f"{job_id}.log"
    assert log.read_text().count("last line") == MAX_CRASHES + 1


def test_a_worker_that_waits_for_the_tracking_server_is_started_again_and_is_no_crash(database, supervise, tmp_path):
    job_id = new_job(database)
    supervise("later")
    log = tmp_path / "serve" / f"{job_id}.log"
    wait_until(lambda: log.is_file() and log.read_text().count("last line") >= 3, "three attempts", pause_s=0.05)
    row = row_of(database, job_id)
    assert (row["status"], row["crashes"]) == ("running", 0)


def test_a_paused_job_loses_its_worker_and_a_resumed_one_gets_another(database, supervise):
    job_id = new_job(database)
    running = supervise("wait")
    wait_for(database, job_id, "running")
    jobs.pause(database, job_id)
    running.wake()
    wait_until(lambda: not running._workers, "the end of the worker", pause_s=0.05)
    jobs.resume(database, job_id)
    wait_for(database, job_id, "running")
    jobs.cancel(database, job_id)
    wait_until(lambda: not running._workers, "the end of the worker", pause_s=0.05)
    assert row_of(database, job_id)["status"] == "cancelled"


def test_one_worker_at_a_time_and_the_oldest_job_first(database, supervise):
    first, second = new_job(database), new_job(database)
    supervise("wait")
    wait_for(database, first, "running")
    wait_for(database, second, "queued")
    jobs.cancel(database, first)
    wait_for(database, second, "running")
