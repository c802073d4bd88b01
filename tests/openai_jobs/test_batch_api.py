"""The Batch API answers the same requests: one file and one batch however often it is begun, joined by their ids."""

import json

import pytest

from data.errors import UserError
from data.labelled import SENTIMENTS
from openai_jobs import batch_api
from openai_jobs.endpoint import ApiError, from_environment
from openai_jobs.exactly_once import IdempotencyLog
from openai_jobs.jobs import JobClient
from openai_jobs.requests import RequestOptions
from openai_jobs.response_log import ResponseLog
from recipes.noisy_labels.learners.openai_answers import prediction
from tests.fake_openai import Dropped, error
from tests.openai_jobs.test_request_pool import requests_for, says


@pytest.fixture
def complete(tmp_path):
    """``complete(n)`` sends ``n`` requests as a new process: (errors, one outcome a row, lines printed)."""

    def complete(n=20):
        endpoint, lines = from_environment(), []
        client = endpoint.client().with_options(max_retries=0)
        client = JobClient(client, endpoint, IdempotencyLog(tmp_path / "ledger.jsonl"), lines.append, lambda s: None)
        log = ResponseLog(tmp_path / "answers.jsonl")
        try:
            errors = batch_api.complete(client, log, requests_for(n), RequestOptions(), "run1", tmp_path)
        finally:
            log.close()
        found = [
            prediction(log.replies[q.digest], SENTIMENTS).outcome if q.digest in log.replies else "error"
            for q in requests_for(n)
        ]
        return errors, found, lines

    return complete


def test_answers_are_joined_by_their_id_in_whatever_order_they_come(complete, fake_openai):
    fake = fake_openai(says=says)
    errors, found, lines = complete()
    assert errors == {} and found == [i % 2 for i in range(20)]
    assert [batch["metadata"] for batch in fake.batches.values()] == [{"parley_run": "run1"}]
    assert lines[0] == "Batch   batch-1: 20 requests, answered within 24h" and "completed, 20 of 20" in lines[-1]
    complete()
    assert len(fake.batches) == 1


def test_a_row_that_failed_is_an_error_and_the_only_one_sent_again(complete, fake_openai):
    fake = fake_openai(says=says, faults=0.3)
    errors, found, _ = complete(60)
    assert 0 < len(errors) < 60 and set(errors.values()) == {"batch_expired: too late"}
    assert all(each in ("error", i % 2) for i, each in enumerate(found))
    fake.faults = 0.0
    assert complete(60)[:2] == ({}, [i % 2 for i in range(60)])
    assert len(fake.batches) == 2 and set(fake.answered.values()) == {1}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("wanted", ["POST /files", "POST /batches"])
def test_a_lost_answer_makes_no_second_batch(when, wanted, complete, fake_openai):
    seen = []

    def hook(number, method, path):
        if f"{method} {path}" == wanted and not seen:
            seen.append(number)
            raise Dropped

    fake = fake_openai(says=says, **{when: hook})
    assert complete()[1] == [i % 2 for i in range(20)]
    assert (len(fake.batches), sum(file["purpose"] == "batch" for file in fake.files.values())) == (1, 1)


def test_a_process_after_a_crash_follows_the_batch_that_is_there(complete, fake_openai):
    fake = fake_openai(says=says)
    fake.refusals["GET /batches/batch-1"] = error(404, "crash here", "x")
    with pytest.raises(ApiError):
        complete()
    fake.refusals.clear()
    assert complete()[1] == [i % 2 for i in range(20)] and len(fake.batches) == 1


def test_a_batch_that_failed_as_a_whole_is_reported_with_its_reason(complete, fake_openai):
    fake = fake_openai()
    failed = {"object": "list", "data": [{"code": "x", "line": 3, "message": "no such model sk-abc123", "param": None}]}
    fake.before = lambda *args: [each.update(status="failed", errors=failed) for each in fake.batches.values()]
    with pytest.raises(UserError, match=r"the batch batch-1 failed: line 3: no such model \*\*\*"):
        complete()


def test_lines_that_no_batch_should_have_are_errors_and_never_labels(complete, fake_openai):
    fake, (broken, failed, missing) = fake_openai(says=says), [question.digest for question in requests_for(3)]
    lines = [
        {"custom_id": broken, "response": {"status_code": 200, "body": {"choices": []}}},
        {"custom_id": failed, "response": {"status_code": 500, "body": None}},
        {"custom_id": "another", "response": None},
        {"response": 3},
    ]
    body = "\n".join(["no JSON", *map(json.dumps, lines)]).encode()
    fake.refusals["GET /files/file-2/content"] = (200, {}, body)
    errors, found, _ = complete(3)
    assert found == ["error"] * 3
    assert errors == {
        broken: "an answer that can't be read (InvalidReply)",
        failed: "500: no reason given",
        missing: "it is in neither file of the batch, which completed",
    }


def test_a_server_without_batches_is_known_by_its_refusal(complete, fake_openai):
    fake_openai(lacks={"batches"})
    with pytest.raises(ApiError) as caught:
        complete()
    assert caught.value.is_missing
