"""A job's life: every event in every status, with what is written beside the status."""

import base64
import io

import pytest
from sqlalchemy import select, update

from serve.errors import RequestError
from serve.model_names import ModelNames
from serve.store import files, jobs
from serve.store.database import Database
from serve.store.tables import jobs as table
from serve.store.training_file import Checked

STATUSES = ("validating_files", "queued", "running", "paused", "succeeded", "failed", "cancelled")
EVENTS = {
    "validated": jobs.queue,
    "started": jobs.start,
    "paused": jobs.pause,
    "resumed": jobs.resume,
    "cancelled": jobs.cancel,
    "succeeded": lambda database, job_id: jobs.succeed(database, job_id, {3: "ft:step", 6: "ft:last"}, 99),
    "failed": lambda database, job_id: jobs.fail(database, job_id, "some_code", "{it} broke", "training_file"),
}
MESSAGES = {
    "validated": ["Files validated, moving job to queued state"],
    "started": ["Fine-tuning job started"],
    "paused": ["The job was paused"],
    "resumed": ["The job was resumed"],
    "cancelled": ["The job was cancelled"],
    "failed": ["The job failed: {it} broke"],
}
#: The status after the event, by the status before it in the order of STATUSES; None: the event is not allowed.
AFTER = {
    "validated": ["queued", None, None, None, None, None, None],
    "started": [None, "running", "running", None, None, None, None],
    "paused": ["paused", "paused", "paused", "paused", None, None, None],
    "resumed": ["validating_files", "queued", "running", "queued", None, None, None],
    "cancelled": ["cancelled", "cancelled", "cancelled", "cancelled", None, None, "cancelled"],
    "succeeded": [None, None, "succeeded", None, "succeeded", None, None],
    "failed": ["failed", "failed", "failed", None, None, None, None],
}
PAIRS = [(status, event, AFTER[event][at]) for event in EVENTS for at, status in enumerate(STATUSES)]


@pytest.fixture
def database(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'serve.db'}")
    yield database
    database.close()


@pytest.fixture
def job_id(database):
    file_id = files.add(database, io.BytesIO(b"{}"), "a.jsonl", "fine-tune", checked=Checked(10, "supervised"))["id"]
    fields = {"model": "bundled", "training_file": file_id, "validation_file": None, "seed": 1, "suffix": None,
              "method": "supervised", "hyperparameters": {}, "metadata": {}, "integrations": []}  # fmt: skip
    return jobs.create(database, fields, ModelNames("bundled", {}), "parley", 9, "")


def put_in(database, job_id, status):
    with database.write() as connection:
        connection.execute(update(table).where(table.c.id == job_id).values(status=status, estimated_finish=7))


def row_of(database, job_id):
    with database.read() as connection:
        return dict(connection.execute(select(table)).mappings().one())


def messages(database, job_id):
    return [each["message"] for each in jobs.event_listing(database, job_id, None, 100)["data"]][::-1]


def test_the_table_names_each_event_once_and_only_statuses_that_there_are():
    assert list(jobs.TRANSITIONS) == list(EVENTS)
    for transition in jobs.TRANSITIONS.values():
        assert {*transition.sources, *transition.unchanged, transition.target} <= set(STATUSES)
        assert not set(transition.sources) & set(transition.unchanged)


@pytest.mark.parametrize(("status", "event", "after"), PAIRS)
def test_each_event_in_each_status_is_carried_out_once_or_changes_nothing(database, job_id, status, event, after):
    put_in(database, job_id, status)
    before, told = row_of(database, job_id), messages(database, job_id)
    try:
        accepted = bool(EVENTS[event](database, job_id))
    except RequestError as error:
        accepted = False
        assert event in ("paused", "resumed", "cancelled") and (error.status, error.code) == (400, "invalid_status")
        assert str(error) == f"{job_id} can't be {event}: it is {status} already"
    assert accepted == (after is not None)
    row, new = row_of(database, job_id), messages(database, job_id)[len(told) :]
    if after in (None, status):
        assert row == before and new == []
        return
    assert row["status"] == after and row["estimated_finish"] is None
    assert (row["finished_at"] is not None) == (after in ("succeeded", "failed", "cancelled"))
    assert new[-1:] == MESSAGES.get(event, ["The job has successfully completed"])
    if AFTER[event][STATUSES.index(after)]:
        EVENTS[event](database, job_id)
    assert messages(database, job_id)[len(told) :] == new, "what has happened is told once"


def test_a_job_that_succeeds_gets_its_results_in_the_same_transaction(database, job_id):
    put_in(database, job_id, "running")
    assert EVENTS["succeeded"](database, job_id)
    row = row_of(database, job_id)
    assert row["trained_tokens"] == 99
    encoded = b"".join(files.read(database, row["result_file"]))
    assert base64.b64decode(encoded, validate=True) == jobs.step_metrics(database, job_id)
    assert jobs.step_metrics(database, job_id).startswith(b"step,train_loss")
    found = jobs.checkpoint_listing(database, job_id, None, 10)["data"]
    assert [each["fine_tuned_model_checkpoint"] for each in found] == ["ft:last", "ft:step"]
    assert messages(database, job_id)[2:] == [
        "Checkpoint created at step 3", "Checkpoint created at step 6",
        f"New fine-tuned model created: {row['result']}", "The job has successfully completed",
    ]  # fmt: skip


def test_a_job_that_fails_names_its_error(database, job_id):
    EVENTS["failed"](database, job_id)
    assert jobs.get(database, job_id)["error"] == {
        "code": "some_code", "message": "{it} broke", "param": "training_file"
    }  # fmt: skip
    assert jobs.event_listing(database, job_id, None, 1)["data"][0]["level"] == "error"


def test_each_pause_and_each_resumption_is_an_event_of_its_own(database, job_id):
    for call in (jobs.pause, jobs.resume, jobs.pause, jobs.resume):
        call(database, job_id)
    assert messages(database, job_id)[2:] == ["The job was paused", "The job was resumed"] * 2


def test_only_a_running_job_takes_progress_and_a_missing_one_is_named(database, job_id):
    with database.write() as connection:
        assert not jobs.update_running(connection, job_id, step=3)
    put_in(database, job_id, "running")
    with database.write() as connection:
        assert jobs.update_running(connection, job_id, step=3)
    assert row_of(database, job_id)["step"] == 3
    with pytest.raises(RequestError, match="No such fine-tuning job: ftjob-none"):
        jobs.start(database, "ftjob-none")
