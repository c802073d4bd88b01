"""Every request is answered or reported as an error, whatever the server does; none that was answered is sent again."""

import json
import signal
import subprocess
import sys
import time

import pytest

from data.errors import UserError
from data.labelled import SENTIMENTS, LabelledRow
from data.prompts import REVIEW
from openai_jobs.endpoint import from_environment
from openai_jobs.request_pool import MAX_FAILED_IN_A_ROW, RequestPool, RetryPolicy
from openai_jobs.response_log import ResponseLog
from recipes.noisy_labels.learners.openai_answers import chat_requests, prediction
from tests.fake_openai import KEY, error
from tests.processes import ROOT, wait_until

QUICK = RetryPolicy(first_s=0.01, longest_s=0.05, timeout_s=0.3)


def says(model, text):
    """The label is in the text, so that a mislabelled row shows."""
    return (SENTIMENTS[1], 0.9) if "an even film" in text else (SENTIMENTS[0], 0.1)


def rows(n):
    return [LabelledRow(f"Number {i}, {('a dull', 'an even')[i % 2]} film.", i % 2, f"r{i}", i) for i in range(n)]


def requests_for(n, model="m"):
    return chat_requests(rows(n), model, REVIEW, 8, 7)


def complete(folder, n, slots=8, policy=QUICK):
    """(the pool, one prediction or error a row, lines printed)."""
    log, lines = ResponseLog(folder / "answers.jsonl"), []
    pool = RequestPool(from_environment(), log, slots, policy, lines.append)
    try:
        pool.run(requests_for(n))
    finally:
        log.close()
    found = [
        prediction(log.replies[q.digest], SENTIMENTS).outcome if q.digest in log.replies else pool.errors[q.digest]
        for q in requests_for(n)
    ]
    return pool, found, lines


def test_where_a_fifth_of_the_replies_fails_no_row_is_lost_or_mislabelled(fake_openai, tmp_path):
    fake = fake_openai(says=says, faults=0.2)
    pool, found, _ = complete(tmp_path, 200, slots=40)
    assert set(fake.failed) == {"429", "500", "timeout", "reset", "invalid"}
    assert [each for i, each in enumerate(found) if not isinstance(each, str) and each != i % 2] == []
    assert len(found) == 200 and sum(isinstance(each, str) for each in found) == len(pool.errors)
    assert set(fake.answered.values()) == {1}
    again, same, _ = complete(tmp_path, 200, slots=40)
    assert again.sent == len(pool.errors) and len(fake.answered) == 200
    assert [each for each in same if isinstance(each, str)] == []


@pytest.mark.parametrize("kind", ["429", "500", "timeout", "reset", "invalid"])
def test_a_row_without_an_answer_is_an_error_with_its_reason_and_no_label(kind, fake_openai, tmp_path):
    fake = fake_openai(faults=1.0, fault_kinds=(kind,))
    policy = RetryPolicy(2, 0.01, 0.02, 0.1, limited_s=0.3)
    pool, found, _ = complete(tmp_path, 3, policy=policy)
    words = {"429": "429", "500": "500", "timeout": "in time", "reset": "broke off", "invalid": "can't be read"}
    assert all(words[kind] in each for each in found) and len(pool.errors) == 3
    assert fake.failed[kind] == (6 if kind != "429" else 3 * 4 + 3)
    assert (tmp_path / "answers.jsonl").read_text() == ""


def test_a_server_that_is_gone_stops_the_pool_and_its_replies_are_kept(fake_openai, tmp_path):
    fake = fake_openai()
    complete(tmp_path, 10)
    fake.faults, fake.fault_kinds = 1.0, ("500",)
    with pytest.raises(UserError, match=rf"{MAX_FAILED_IN_A_ROW} rows in a row; 10 answers are kept\. Go on later"):
        complete(tmp_path, 60, policy=RetryPolicy(1))
    fake.faults = 0.0
    pool, found, _ = complete(tmp_path, 60)
    assert pool.sent == 50 and found == [1] * 60


def test_replies_of_a_killed_process_are_not_requested_again(fake_openai, tmp_path):
    fake = fake_openai(says=says, latency_s=0.05)
    program = (
        "import sys; from pathlib import Path; from tests.openai_jobs.test_request_pool import complete;"
        "complete(Path(sys.argv[1]), 200, slots=4)"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], cwd=ROOT)
    wait_until(lambda: len(fake.answered) >= 30, "the 30th answer")
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(0.1)
    with (tmp_path / "answers.jsonl").open("a") as out:
        out.write('{"digest": "torn')
    known = len((tmp_path / "answers.jsonl").read_text().splitlines()) - 1
    assert known >= 26  # those on their way when it was killed were answered to nobody
    fake.latency_s = 0.0
    pool, found, _ = complete(tmp_path, 200)
    assert pool.sent == 200 - known
    assert found == [i % 2 for i in range(200)]
    lines = (tmp_path / "answers.jsonl").read_text().splitlines()
    assert len({json.loads(line)["digest"] for line in lines if line.endswith("}")}) == 200


def test_no_more_requests_are_in_flight_than_there_are_slots(fake_openai, tmp_path):
    fake = fake_openai(latency_s=0.02)
    complete(tmp_path, 60, slots=7)
    assert fake.most_at_once == 7


def test_a_rate_limit_is_kept_rather_than_run_into(fake_openai, tmp_path):
    fake = fake_openai(rate=(10, 100))
    start = time.monotonic()
    _, found, _ = complete(tmp_path, 60, slots=20)
    assert found == [1] * 60
    assert fake.failed["limited"] <= 20  # those that went out before the first headers came
    assert time.monotonic() - start >= 0.4  # 50 of them had to wait for a refill of 100 a second


@pytest.mark.parametrize(
    ("lacks", "options", "notes"),
    [
        ({"top20"}, (5, "max_tokens"), ["returns no 20 log-probabilities per token; requesting 5"]),
        ({"top20", "logprobs"}, (0, "max_tokens"), ["requesting 5", "no AUC, ECE or Brier"]),
        ({"max_tokens"}, (20, "max_completion_tokens"), []),
    ],
)
def test_an_option_that_an_endpoint_refuses_is_reported_and_not_sent_again(
    lacks, options, notes, fake_openai, tmp_path
):
    fake = fake_openai(lacks=lacks)
    pool, found, lines = complete(tmp_path, 30, slots=4)
    assert found == [1] * 30 and pool.errors == {}
    assert (pool.options.top_logprobs, pool.options.cap) == options
    assert len(lines) == len(notes) and all(words in line for words, line in zip(notes, lines, strict=True))
    assert len(fake.chats) <= 30 + 4 * len(lacks)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (error(401, f"Incorrect API key provided: {KEY}", "invalid_api_key"), "refuses the key in OPENAI_API_KEY"),
        (error(403, "not for you", "forbidden"), "not for you"),
        (error(429, "no money", "insufficient_quota"), "has no credit left"),
        (error(404, "The model does not exist", "model_not_found"), "has no model m: The model does not exist"),
    ],
)
def test_what_no_row_can_get_past_stops_all_at_once(answer, words, fake_openai, tmp_path):
    fake = fake_openai(refusals={"POST /chat/completions": answer})
    policy = RetryPolicy(2, 0.01, 0.01)
    with pytest.raises(UserError, match=words) as caught:
        complete(tmp_path, 200, slots=4, policy=policy)
    assert KEY not in str(caught.value)
    assert len(fake.requests) <= 8


def test_log_probabilities_that_are_silently_left_out_are_reported(fake_openai, tmp_path):
    fake = fake_openai()
    whole = fake.completion
    fake.completion = lambda asked: whole({**asked, "logprobs": False})
    _, found, lines = complete(tmp_path, 9)
    assert found == [1] * 9 and [line.partition("returns ")[2] for line in lines] == [
        "no log-probabilities for m: no AUC, ECE or Brier"
    ]


def test_a_row_that_is_refused_for_good_is_sent_once(fake_openai, tmp_path):
    fake = fake_openai(refusals={"POST /chat/completions": error(400, "too long", "context_length_exceeded")})
    _, found, _ = complete(tmp_path, 3)
    assert all("too long" in each for each in found) and len(fake.requests) == 3


def test_a_long_evaluation_prints_its_progress(fake_openai, tmp_path, monkeypatch):
    monkeypatch.setattr("openai_jobs.request_pool.SYNC_S", 0.02)
    fake_openai(latency_s=0.1)
    _, _, lines = complete(tmp_path, 16, slots=4)
    assert lines and all(line.startswith("Sent ") and line.endswith(" of 16 requests") for line in lines)
