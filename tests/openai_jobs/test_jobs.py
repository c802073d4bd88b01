"""One run has one file of each kind and one job, whatever is lost on the way: nothing is paid twice."""

import json
import time

import pytest

from data.errors import UserError
from openai_jobs import jobs
from openai_jobs.endpoint import ApiError, from_environment
from openai_jobs.exactly_once import IdempotencyLog, once
from openai_jobs.jobs import JobClient, JobRequest
from tests.fake_openai import Dropped, error

RUN = "run1"


@pytest.fixture
def client(tmp_path):
    """``client(clock)`` is where a process of the run submits: each call is another process with the same folder."""

    def client(clock=time.time):
        endpoint = from_environment()
        lines = []
        found = JobClient(
            endpoint.client(), endpoint, IdempotencyLog(tmp_path / "ledger.jsonl", clock), lines.append, lambda s: None
        )
        found.printed = lines  # type: ignore[attr-defined]
        return found

    return client


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text('{"messages": []}\n' * 12)
    return path


def job_request(file_id="file-1", **hyperparameters):
    return JobRequest(
        RUN, "gpt-4o-mini", (file_id, ""), 3, hyperparameters, 7, "noisy-" * 20, {"noise": "symmetric 0.5"}
    )


def submit_job(client, path):
    """What a run does: its file, then its job."""
    return jobs.submit(client, job_request(jobs.upload(client, path, "parley-run1-train.jsonl")))


def once_only(act):
    """``act`` at its first call, nothing after."""
    calls = []

    def hook(*args):
        calls.append(args)
        if len(calls) == 1:
            act()

    return hook


def drop():
    raise Dropped


def at(wanted, act):
    """``act`` at the first request of this method and path."""
    first = once_only(act)
    return lambda number, method, path: first() if f"{method} {path}" == wanted else None


def test_the_run_s_id_is_in_the_file_s_name_and_in_the_job_s_metadata(fake_openai, client, path):
    fake = fake_openai()
    job = submit_job(client(), path)
    [file] = fake.files.values()
    assert (file["filename"], file["purpose"], file["bytes"]) == (f"parley-{RUN}-train.jsonl", "fine-tune", 12 * 17)
    asked = fake.jobs[job.id]["asked"]
    assert asked["metadata"] == {"noise": "symmetric 0.5", "parley_run": RUN}
    assert asked["method"]["supervised"]["hyperparameters"] == {
        "batch_size": "auto", "learning_rate_multiplier": "auto", "n_epochs": 3,
    }  # fmt: skip
    assert len(asked["suffix"]) == 64 and asked["seed"] == 7


def test_hyperparameters_that_openai_does_not_know_are_passed_through(fake_openai, client, path):
    fake = fake_openai()
    jobs.upload(client(), path, "f")
    job = jobs.submit(client(), job_request(lora=True, lora_r=8))
    asked = fake.jobs[job.id]["asked"]
    assert asked["hyperparameters"] == {"n_epochs": 3, "lora": True, "lora_r": 8} and "method" not in asked


def test_a_second_process_finds_the_file_and_the_job(fake_openai, client, path):
    fake = fake_openai()
    assert submit_job(client(), path).id == submit_job(client(), path).id
    assert (len(fake.files), len(fake.jobs)) == (1, 1)


@pytest.mark.parametrize("wanted", ["POST /files", "POST /fine_tuning/jobs"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_answer_that_is_lost_makes_no_second_one(wanted, when, fake_openai, client, path):
    fake = fake_openai(**{when: at(wanted, drop)})
    submit_job(client(), path)
    assert (len(fake.files), len(fake.jobs)) == (1, 1)


def test_a_time_out_of_create_makes_no_second_job(fake_openai, client, path):
    fake = fake_openai(after=at("POST /fine_tuning/jobs", lambda: time.sleep(1.5)))
    mine = client()
    mine.sdk = mine.sdk.with_options(timeout=1.0, max_retries=5)
    submit_job(mine, path)
    assert len(fake.jobs) == 1
    assert fake.requests.count(("POST", "/fine_tuning/jobs")) == 1


def test_a_job_that_shows_only_later_in_the_list_is_waited_for(fake_openai, client, path):
    fake = fake_openai(after=at("POST /fine_tuning/jobs", drop))
    mine, hidden, looks = client(), {}, []

    def pause(seconds):
        looks.append(seconds)
        fake.jobs.update(hidden) if len(looks) == 3 else hidden.update(fake.jobs) or fake.jobs.clear()

    mine.pause = pause
    submit_job(mine, path)
    assert looks == [1.0, 2.0, 4.0] and len(fake.jobs) == 1


def test_a_process_after_a_crash_waits_as_well_before_it_makes_one(fake_openai, client, path):
    fake, now = fake_openai(), [1000.0]
    file_id = jobs.upload(client(), path, "f")
    client(lambda: now[0]).log.write("job", done=False)  # and here the process before was killed
    waits = []
    soon = client(lambda: now[0])
    soon.pause = waits.append
    jobs.submit(soon, job_request(file_id))
    assert waits == [1.0, 2.0, 4.0, 8.0] and len(fake.jobs) == 1


def test_a_refused_request_is_not_sent_again(fake_openai, client, path):
    fake = fake_openai(refusals={"POST /fine_tuning/jobs": error(400, "model is not available", "model_not_available")})
    with pytest.raises(ApiError, match="model is not available"):
        submit_job(client(), path)
    assert fake.requests.count(("POST", "/fine_tuning/jobs")) == 1
    assert client().log.age_s("job") is None


def test_a_server_that_keeps_failing_is_given_up_after_three_tries(fake_openai, client, path):
    fake = fake_openai(refusals={"POST /fine_tuning/jobs": error(500, "sorry", "server_error")})
    with pytest.raises(UserError, match="tried 3 times; go on later, and it is looked for"):
        submit_job(client(), path)
    assert fake.requests.count(("POST", "/fine_tuning/jobs")) == 3
    assert client().log.age_s("job") is not None


def test_no_job_is_made_where_jobs_can_not_be_listed_now(fake_openai, client, path):
    fake = fake_openai(refusals={"GET /fine_tuning/jobs": error(503, "busy", "x", {"x-should-retry": "false"})})
    with pytest.raises(ApiError, match="refuses to list jobs"):
        submit_job(client(), path)
    assert not fake.jobs


def test_closed_fine_tuning_names_the_local_server_as_alternative(fake_openai, client, path):
    fake_openai(refusals={"POST /fine_tuning/jobs": error(403, "Fine-tuning is closed.", "forbidden")})
    with pytest.raises(UserError, match=r"\(403\): Fine-tuning is closed\. `make serve` starts a server"):
        submit_job(client(), path)


def test_a_server_that_knows_no_metadata_still_gets_one_job(fake_openai, client, path):
    fake = fake_openai(lacks={"metadata", "metadata_filter"})
    first = client()
    assert submit_job(first, path).id == submit_job(client(), path).id
    assert len(fake.jobs) == 1
    assert any("takes no metadata" in line for line in first.printed)


def test_a_server_without_a_list_of_files_is_given_them(fake_openai, client, path):
    fake = fake_openai(refusals={"GET /files": error(404, "no such route", "unknown_url")})
    submit_job(client(), path)
    assert (len(fake.files), len(fake.jobs)) == (1, 1)


def test_a_server_without_a_list_of_jobs_gets_one_and_none_after_an_unknown_end(fake_openai, client, path):
    fake = fake_openai(refusals={"GET /fine_tuning/jobs": error(404, "no such route", "unknown_url")})
    fake.after = at("POST /fine_tuning/jobs", drop)
    with pytest.raises(UserError, match="lists no jobs, and one was requested whose outcome is unknown"):
        submit_job(client(), path)
    with pytest.raises(UserError, match="set the run's tag openai_job to its id"):
        submit_job(client(), path)
    assert len(fake.jobs) == 1


def test_another_file_under_the_run_s_name_is_not_taken_for_its_own(fake_openai, client, path):
    fake = fake_openai()
    fake.keep_file(f"parley-{RUN}-train.jsonl", b"x", "fine-tune")
    with pytest.raises(UserError, match="with 1 bytes, not 204; delete it there"):
        submit_job(client(), path)


def test_the_job_of_a_run_is_found_among_many(fake_openai, client):
    fake = fake_openai()
    file_id = fake.keep_file("f", b"x", "fine-tune")["id"]
    for number in range(150):
        fake._create({"model": "gpt-4o-mini", "training_file": file_id, "metadata": {"parley_run": f"run{number}"}})
    assert jobs.find(client(), RUN).metadata == {"parley_run": RUN}
    fake.lacks.add("metadata_filter")
    assert jobs.find(client(), RUN).metadata == {"parley_run": RUN}
    assert jobs.find(client(), "another") is None


def test_a_job_s_error_of_nulls_and_its_keys_are_kept_clean(fake_openai, client, path, monkeypatch):
    fake = fake_openai()
    job = submit_job(client(), path)
    assert jobs.to_record(job)["error"] == {}
    fake.jobs[job.id]["error"] = {"code": "x", "message": "with sk-abc123", "param": None}
    assert jobs.to_record(jobs.retrieve(client(), job.id))["error"] == {"code": "x", "message": "with ***"}


def test_the_idempotency_log_survives_a_torn_line(tmp_path):
    log = IdempotencyLog(tmp_path / "ledger.jsonl", lambda: 5.0)
    log.write("job", done=False)
    with log.path.open("a") as out:
        out.write('{"what": "jo')
    again = IdempotencyLog(log.path, lambda: 9.0)
    assert again.age_s("job") == 4.0
    again.write("job", done=True)
    assert IdempotencyLog(log.path).age_s("job") is None
    assert [json.loads(line)["done"] for line in log.path.read_text().splitlines() if line.endswith("}")] == [
        False, True,
    ]  # fmt: skip


def test_a_request_is_logged_on_disk_before_it_is_sent(tmp_path):
    log = IdempotencyLog(tmp_path / "ledger.jsonl")

    def make():
        assert IdempotencyLog(log.path).age_s("job") is not None
        return "job-1"

    assert once("job", lambda: None, make, log, lambda s: None) == "job-1"
    assert IdempotencyLog(log.path).age_s("job") is None
