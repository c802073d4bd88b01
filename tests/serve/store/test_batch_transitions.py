"""A batch's life: every event in every status."""

import io

import pytest
from sqlalchemy import select, update

from serve.errors import RequestError
from serve.store import batches, files
from serve.store.batch_input import ENDPOINT
from serve.store.database import Database
from serve.store.tables import BATCH_FINISHED, BATCH_OPEN
from serve.store.tables import batches as table

STATUSES = (*BATCH_OPEN, *BATCH_FINISHED)
#: For each event, the statuses that it changes and the next one.
AFTER = {
    "validated": {"validating": "in_progress"},
    "failed": {"validating": "failed"},
    "finalized": {"in_progress": "finalizing"},
    "cancel_requested": {"validating": "cancelling", "in_progress": "cancelling", "cancelling": "cancelling",
                         "cancelled": "cancelled"},
    "ended": {"finalizing": "completed", "cancelling": "cancelled"},
}  # fmt: skip
ERRORS = [{"code": "empty_batch", "line": None, "message": "the file holds no requests", "param": None}]


@pytest.fixture
def database(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'serve.db'}")
    yield database
    database.close()


@pytest.fixture
def batch_id(database):
    file_id = files.add(database, io.BytesIO(b"{}"), "a.jsonl", "batch")["id"]
    fields = {"endpoint": ENDPOINT, "input_file_id": file_id, "completion_window": "24h", "metadata": None}
    return batches.create(database, {**fields, "output_expires_s": None})["id"]


def row_of(database):
    with database.read() as connection:
        return dict(connection.execute(select(table)).mappings().one())


def put_in(database, status):
    with database.write() as connection:
        connection.execute(update(table).values(status=status))


def carry_out(database, batch_id, event):
    if event == "validated":
        return batches.begin(database, batch_id, 3)
    if event == "failed":
        return batches.fail(database, batch_id, ERRORS)
    if event == "finalized":
        return batches.finalize(database, batch_id, expired=False)
    if event == "ended":
        return batches.finish(database, row_of(database))
    try:
        return bool(batches.cancel(database, batch_id))
    except RequestError as error:
        assert error.code == "invalid_status"
        return False


@pytest.mark.parametrize("event", AFTER)
@pytest.mark.parametrize("status", STATUSES)
def test_each_event_in_each_status_is_carried_out_or_changes_nothing(database, batch_id, status, event):
    put_in(database, status)
    before, after = row_of(database), AFTER[event].get(status)
    assert carry_out(database, batch_id, event) == (after is not None)
    row = row_of(database)
    if after in (None, status):
        assert row == before
    else:
        assert row["status"] == after and set(row["times"]) == {*before["times"], f"{after}_at"}


def test_a_batch_out_of_time_has_expired_once_its_files_are_written(database, batch_id):
    batches.begin(database, batch_id, 2)
    batches.add_responses(database, batch_id, [(1, True, {"custom_id": "a"}), (2, False, {"custom_id": "b"})])
    assert batches.finalize(database, batch_id, expired=True)
    assert batches.finish(database, row_of(database))
    done = batches.get(database, batch_id)
    assert done["status"] == "expired" and done["expired_at"] and done["finalizing_at"]
    assert b"".join(files.read(database, done["output_file_id"])) == b'{"custom_id": "a"}\n'
    assert b"".join(files.read(database, done["error_file_id"])) == b'{"custom_id": "b"}\n'
