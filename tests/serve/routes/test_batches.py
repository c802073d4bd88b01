"""``/v1/batches`` through the real SDK."""

import json

import openai
import pytest

from serve.store.tables import BATCH_FINISHED
from tests.processes import wait_until
from tests.serve.served import refused, upload

URL = "/v1/chat/completions"


def line(custom_id, **body):
    asked = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": custom_id}], "max_tokens": 4,
             "temperature": 0, **body}  # fmt: skip
    return {"custom_id": custom_id, "method": "POST", "url": URL, "body": asked}


def batch_file(client, lines):
    return upload(client, "\n".join(map(json.dumps, lines)).encode(), "batch.jsonl", "batch")


def make(client, lines, **more):
    return client.batches.create(input_file_id=batch_file(client, lines), endpoint=URL, completion_window="24h", **more)


def ended(client, batch_id):
    def found():
        batch = client.batches.retrieve(batch_id)
        return batch if batch.status in BATCH_FINISHED else None

    return wait_until(found, f"the end of {batch_id}", pause_s=0.05)


def records(client, file_id):
    return [json.loads(each) for each in client.files.content(file_id).text.splitlines()]


@pytest.fixture(scope="module")
def done(served):
    """A finished batch of twelve good lines and two bad ones."""
    client = served.client()
    lines = [line(f"row-{i}", logprobs=True) for i in range(12)]
    bad = [line("wrong-model", model="nobody"), line("wrong-number", n=0)]
    return ended(client, make(client, [*lines, *bad], metadata={"run": "7"}).id)


def test_every_line_is_answered_once_and_joined_by_its_id(client, done):
    assert (done.status, done.endpoint, done.metadata) == ("completed", URL, {"run": "7"})
    counts = done.request_counts
    assert (counts.total, counts.completed, counts.failed) == (14, 12, 2)
    assert done.created_at <= done.in_progress_at <= done.finalizing_at <= done.completed_at
    found = records(client, done.output_file_id)
    assert sorted(each["custom_id"] for each in found) == sorted(f"row-{i}" for i in range(12))
    for each in found:
        assert each["error"] is None and each["response"]["status_code"] == 200
        asked = [{"role": "user", "content": each["custom_id"]}]
        alone = client.chat.completions.create(model="gpt-4o-mini", messages=asked, max_tokens=4, temperature=0)
        choice = each["response"]["body"]["choices"][0]
        assert choice["message"]["content"] == alone.choices[0].message.content
        assert len(choice["logprobs"]["content"]) == 4


def test_lines_that_fail_are_in_the_error_file_with_their_reason(client, done):
    found = {each["custom_id"]: each["response"] for each in records(client, done.error_file_id)}
    assert {name: each["status_code"] for name, each in found.items()} == {"wrong-model": 404, "wrong-number": 400}
    assert found["wrong-number"]["body"]["error"]["param"] == "n"
    assert client.files.retrieve(done.error_file_id).purpose == "batch_output"


def test_batches_are_listed_newest_first(client, done):
    second = make(client, [line("a")])
    ids = [each.id for each in client.batches.list(limit=1)]
    assert ids[0] == second.id and done.id in ids and len(ids) == len(set(ids))
    ended(client, second.id)


def test_a_broken_file_fails_with_lines_and_reasons(client):
    lines = [line("a"), line("a"), {**line("c"), "url": "/v1/embeddings"}, {"custom_id": "d"}]
    failed = ended(client, make(client, lines).id)
    assert failed.status == "failed"
    assert [(each.line, each.code) for each in failed.errors.data] == [
        (2, "duplicate_custom_id"), (3, "mismatched_endpoint"), (4, "missing_required_parameter")
    ]  # fmt: skip


def test_a_cancelled_batch_keeps_what_was_answered(client):
    made = make(client, [line(f"r{i}", max_tokens=64) for i in range(300)])
    wait_until(lambda: client.batches.retrieve(made.id).request_counts.completed, "a first answer")
    assert client.batches.cancel(made.id).status in ("cancelling", "cancelled")
    done = ended(client, made.id)
    assert done.status == "cancelled" and done.cancelled_at
    kept = records(client, done.output_file_id)
    assert 0 < len(kept) < 300 and len(kept) == done.request_counts.completed
    with refused(openai.BadRequestError, "completed", code="invalid_status"):
        second = ended(client, make(client, [line("a")]).id)
        client.batches.cancel(second.id)


@pytest.mark.parametrize(
    ("asked", "param"),
    [({"endpoint": "/v1/embeddings"}, "endpoint"), ({"completion_window": "1h"}, "completion_window"),
     ({"input_file_id": "file-nowhere"}, "input_file_id")],
)  # fmt: skip
def test_a_batch_that_can_not_be_is_refused(client, asked, param):
    fine = {"input_file_id": batch_file(client, [line("a")]), "endpoint": URL, "completion_window": "24h"}
    with pytest.raises((openai.BadRequestError, openai.NotFoundError)) as refusal:
        client.batches.create(**{**fine, **asked})
    assert refusal.value.body["param"] == param
    with refused(openai.NotFoundError, "batch_nowhere", code="not_found"):
        client.batches.retrieve("batch_nowhere")
