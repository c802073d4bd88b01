"""``/v1/fine_tuning/jobs`` through the real SDK: one job that is paused, resumed and outlives its server, and others
that wait behind it."""

import base64
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
import torch
from mlflow import MlflowClient

from inference.loading import load
from openai_jobs.monitor import decode_result_file
from tests.processes import wait_until
from tests.serve.served import Served, ended, refused, training_lines, upload

MODEL = "gpt-4o-mini"
EPOCHS, STEPS = 25, 75  # twelve rows, four a step
QUEUE = 3
METADATA = {"client_run_id": "run-1", "rate": "0.5"}


@pytest.fixture(scope="module")
def trainable_base(weights, tmp_path_factory) -> Path:
    """A tiny base that can be trained to end its answers; that of the other tests can't."""
    model, tokenizer = load(weights["base"])
    with torch.no_grad():
        model.get_input_embeddings().weight[tokenizer.eos_token_id] = 0.1 * torch.arange(64).sin()
    folder = tmp_path_factory.mktemp("base")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def server(serve, trainable_base) -> Served:
    """A server with one trainer and a short queue."""
    return serve(base_model=trainable_base, queue=QUEUE, checkpoints=2)


@pytest.fixture
def jobs(server):
    return server.client().fine_tuning.jobs


@pytest.fixture(scope="module")
def rows(server) -> str:
    return upload(server.client())


@pytest.fixture(scope="module")
def long(server, rows) -> str:
    """A job that is running, or will be."""
    client = server.client()
    supervised = {"hyperparameters": {"n_epochs": EPOCHS, "batch_size": 4, "learning_rate_multiplier": 3}}
    return client.fine_tuning.jobs.create(
        model=MODEL, training_file=rows, validation_file=upload(client), suffix="long", seed=42, metadata=METADATA,
        method={"type": "supervised", "supervised": supervised},
    ).id  # fmt: skip


@pytest.fixture(scope="module")
def finished(server, long) -> Any:
    """The long job: left behind by a server that was killed, paused and resumed, and brought to its end."""
    client = server.client()
    wait_until(lambda: step_of(client, long) > 0, "a first step")
    server.kill()
    assert stored_status(server, long) == "running"
    server.start()
    status_of(client.fine_tuning.jobs.with_raw_response.pause(long), "paused")
    assert client.fine_tuning.jobs.resume(long).status == "queued"
    return ended(client, long)


def step_of(client, job_id):
    """The last step that has an event."""
    return max((each.data["step"] for each in client.fine_tuning.jobs.list_events(job_id) if each.data), default=0)


def status_of(raw, status):
    """Strict mode has no type for ``paused``, so the reply is read as it came."""
    assert raw.http_response.json()["status"] == status


def stored_status(server, job_id):
    """The job's status in the database, of a server that does not run."""
    with sqlite3.connect(server.folder / "serve.db") as rows:
        return rows.execute("select status from jobs where id = ?", [job_id]).fetchone()[0]


@contextmanager
def waiting(jobs, rows, **more) -> Iterator[Any]:
    """A job that waits, as another one runs; it is cancelled at the end."""
    job = jobs.create(model=MODEL, training_file=rows, **more)
    try:
        yield job
    finally:
        jobs.cancel(job.id)


def test_a_new_job_has_the_fields_of_its_request_and_every_number_that_is_used(jobs, long, rows):
    with waiting(jobs, rows, seed=7, suffix="mine", hyperparameters={"n_epochs": "auto", "batch_size": 2},
                 metadata={"a": "b"}, integrations=[{"type": "wandb", "wandb": {"project": "p"}}]) as job:  # fmt: skip
        assert (job.model, job.training_file, job.seed, job.user_provided_suffix) == (MODEL, rows, 7, "mine")
        assert job.status in ("validating_files", "queued")
        assert (job.error, job.fine_tuned_model, job.finished_at, job.result_files) == (None, None, None, [])
        given = job.hyperparameters
        assert (given.batch_size, given.learning_rate_multiplier) == (2, 1.0)
        assert given.n_epochs == 8, "OpenAI's rule for few rows: a hundred are seen"
        assert job.method.supervised.hyperparameters.n_epochs == 8
        assert job.metadata == {"a": "b"} and job.integrations[0].wandb.project == "p"
        assert jobs.retrieve(job.id).created_at == job.created_at


def test_a_job_that_waits_can_be_paused_resumed_and_cancelled(jobs, long, rows):
    with waiting(jobs, rows) as job:
        status_of(jobs.with_raw_response.pause(job.id), "paused")
        status_of(jobs.with_raw_response.pause(job.id), "paused")
        status_of(jobs.with_raw_response.retrieve(job.id), "paused")
        assert jobs.resume(job.id).status == "queued"
    done = jobs.cancel(job.id)
    assert done.status == "cancelled" and done.finished_at
    for call, word in ((jobs.resume, "resumed"), (jobs.pause, "paused")):
        with refused(openai.BadRequestError, word, "cancelled", code="invalid_status"):
            call(job.id)
    messages = [each.message for each in jobs.list_events(job.id)]
    assert messages[0] == "The job was cancelled" and messages.count("The job was paused") == 1


def test_a_full_queue_refuses_one_more_and_says_that_a_retry_is_of_no_use(jobs, long, rows):
    with waiting(jobs, rows), waiting(jobs, rows):
        with pytest.raises(openai.RateLimitError, match=f"the queue holds {QUEUE}") as refusal:
            jobs.create(model=MODEL, training_file=rows)
        assert refusal.value.response.headers["x-should-retry"] == "false"


def test_jobs_are_listed_newest_first_and_found_by_metadata(jobs, long, rows):
    with waiting(jobs, rows, metadata={"rate": "0.5"}) as second, waiting(jobs, rows) as third:
        every = [each.id for each in jobs.list(limit=1)]
        assert every[:2] == [third.id, second.id] and every[-1] == long and len(every) == len(set(every))
        assert [each.id for each in jobs.list(metadata={"rate": "0.5"})] == [second.id, long]
        assert [each.id for each in jobs.list(metadata=METADATA)] == [long]
        assert not jobs.list(metadata={"rate": "0.7"}).data
        bare = [each.id for each in jobs.list(extra_query={"metadata": "null"})]
        assert third.id in bare and long not in bare


def test_a_request_that_is_sent_again_with_its_key_makes_one_job(jobs, long, rows):
    again = {"Idempotency-Key": "job-1"}
    with waiting(jobs, rows, extra_headers=again) as job:
        assert jobs.create(model=MODEL, training_file=rows, extra_headers=again).id == job.id
        with refused(openai.ConflictError, "Idempotency-Key", code="idempotency_error"):
            jobs.create(model=MODEL, training_file=rows, seed=1, extra_headers=again)


@pytest.mark.parametrize(
    ("asked", "param", "word"),
    [
        ({"model": "gpt-9"}, "model", "gpt-9"),
        ({"model": "ft:gpt-4o-mini:parley::00000000"}, "model", "lists bases and fine-tuned models"),
        ({"training_file": "file-nowhere"}, "training_file", "file-nowhere"),
        ({"validation_file": "file-nowhere"}, "validation_file", "file-nowhere"),
        ({"method": {"type": "dpo"}}, "training_file", "no rows for the method dpo"),
        ({"method": {"type": "reinforcement"}}, "method", "supervised and dpo"),
        ({"method": {"type": "dpo", "dpo": {"hyperparameters": {"beta": 0}}}}, "method.dpo.hyperparameters.beta", "0"),
        ({"method": {"type": "dpo", "dpo": {"beta": 1}}}, "method.dpo.beta", "not permitted"),
        ({"method": {"type": "dpo", "supervised": {}}}, "method.supervised", "give method.dpo"),
        ({"hyperparameters": {"n_epochs": 0}}, "hyperparameters.n_epochs", "1"),
        ({"hyperparameters": {"batch_size": 1000}}, "hyperparameters.batch_size", "256"),
        ({"suffix": "x" * 65}, "suffix", "64"),
        ({"metadata": {"a": "b" * 513}}, "metadata.a", "512"),
        ({"seed": -1}, "seed", "0"),
    ],
)
def test_a_job_that_can_not_be_is_refused_and_the_field_named(jobs, rows, asked, param, word):
    with pytest.raises(openai.APIStatusError) as refusal:
        jobs.create(**{"model": MODEL, "training_file": rows, **asked})
    error = refusal.value.body
    assert error["param"].startswith(param) and word in error["message"], error
    assert refusal.value.status_code in (400, 404)


def test_files_of_another_kind_or_with_too_few_rows_are_refused(server, jobs):
    client = server.client()
    with refused(openai.BadRequestError, "purpose batch", param="training_file"):
        jobs.create(model=MODEL, training_file=upload(client, b"{}", purpose="batch"))
    with refused(openai.BadRequestError, "9 example", "at least 10", code="invalid_n_examples"):
        jobs.create(model=MODEL, training_file=upload(client, training_lines(9)))


def test_rows_longer_than_the_models_positions_are_told_when_the_job_is_created(server, jobs, long):
    def line(question, answer):
        messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        return json.dumps({"messages": messages}).encode() + b"\n"

    client = server.client()
    some = training_lines(10) + line("Where is the boat?", "the boat " * 400) * 2
    with waiting(jobs, upload(client, some, "reviews.jsonl")) as job:
        warnings = [each.message for each in jobs.list_events(job.id) if each.level == "warn"]
        assert len(warnings) == 1 and "2 of 12 rows of training_file are cut at 256 tokens" in warnings[0]
    whole = upload(client, training_lines(10) + line("Where is the boat? " * 400, "Here."), "reviews.jsonl")
    with refused(openai.BadRequestError, "reviews.jsonl row 11", code="invalid_training_file", param="training_file"):
        jobs.create(model=MODEL, training_file=whole)


def test_a_file_that_a_job_needs_is_not_deleted(server, long, rows):
    with refused(openai.ConflictError, long, code="file_in_use"):
        server.client().files.delete(rows)


def test_a_job_that_there_is_not_is_named(jobs):
    for call in (jobs.retrieve, jobs.cancel, jobs.pause, jobs.resume, jobs.list_events, jobs.checkpoints.list):
        with refused(openai.NotFoundError, "ftjob-nowhere", code="not_found"):
            call("ftjob-nowhere")


def test_a_job_ends_well_though_it_was_paused_and_its_server_killed(finished, rows):
    assert finished.status == "succeeded", finished.error
    assert finished.fine_tuned_model.startswith("ft:gpt-4o-mini:parley:long:")
    assert finished.finished_at >= finished.created_at and finished.trained_tokens > 0
    assert finished.error is None and finished.estimated_finish is None


def test_every_event_is_listed_once_and_in_order_across_pages(jobs, finished):
    page = jobs.list_events(finished.id, limit=7)
    assert page.has_more and len(page.data) == 7
    listed = list(jobs.list_events(finished.id, limit=7))[::-1]
    assert len({each.id for each in listed}) == len(listed)
    assert [each.data["step"] for each in listed if each.data] == list(range(1, STEPS + 1))
    assert [each.created_at for each in listed] == sorted(each.created_at for each in listed)
    messages = [each.message for each in listed if not each.data]
    made = finished.fine_tuned_model
    assert messages == [
        f"Created fine-tuning job: {finished.id}",
        f"Validating training file: {finished.training_file}",
        "Files validated, moving job to queued state",
        "Fine-tuning job started",
        "The job was paused",
        "The job was resumed",
        f"Checkpoint created at step {STEPS - 3}",
        f"Checkpoint created at step {STEPS}",
        f"New fine-tuned model created: {made}",
        "The job has successfully completed",
    ]
    last = [each.data for each in listed if each.data][-1]
    assert set(last) == {"step", "total_steps", "train_loss", "train_mean_token_accuracy", "valid_loss",
                         "valid_mean_token_accuracy", "full_valid_loss", "full_valid_mean_token_accuracy"}  # fmt: skip


def test_checkpoints_are_models_newest_first(server, jobs, finished):
    first, second = jobs.checkpoints.list(finished.id, limit=1)
    assert (first.step_number, second.step_number) == (STEPS, STEPS - 3)
    assert first.fine_tuned_model_checkpoint == finished.fine_tuned_model
    assert second.fine_tuned_model_checkpoint == f"{finished.fine_tuned_model}:ckpt-step-{STEPS - 3}"
    assert first.metrics.full_valid_mean_token_accuracy == 1
    ids = {model.id for model in server.client().models.list()}
    assert {first.fine_tuned_model_checkpoint, second.fine_tuned_model_checkpoint} <= ids


def test_the_fine_tuned_model_and_its_checkpoint_answer_as_they_were_trained_to(server, jobs, finished):
    chat = server.client().chat.completions
    for each in jobs.checkpoints.list(finished.id):
        messages = [{"role": "user", "content": "Where is the boat? (0)"}]
        model = each.fine_tuned_model_checkpoint
        choice = chat.create(model=model, messages=messages, temperature=0, max_tokens=20).choices[0]
        assert (choice.message.content, choice.finish_reason) == ("In the harbour.", "stop")


def test_permissions_of_a_checkpoint_are_stored_and_listed(server, finished):
    permissions = server.client().fine_tuning.checkpoints.permissions
    model = f"{finished.fine_tuned_model}:ckpt-step-{STEPS - 3}"
    made = permissions.create(model, project_ids=["proj_a", "proj_b", "proj_a"]).data
    assert [each.project_id for each in made] == ["proj_a", "proj_b"]
    assert permissions.create(model, project_ids=["proj_b"]).data == made[1:], "nothing is made twice"
    assert [each.id for each in permissions.list(model, limit=1)] == [made[1].id, made[0].id]
    assert [each.id for each in permissions.list(model, order="ascending")] == [each.id for each in made]
    assert [each.id for each in permissions.retrieve(model, project_id="proj_a").data] == [made[0].id]
    assert permissions.delete(made[0].id, fine_tuned_model_checkpoint=model).deleted
    assert [each.id for each in permissions.list(model)] == [made[1].id]
    with refused(openai.NotFoundError, made[0].id, param="permission_id"):
        permissions.delete(made[0].id, fine_tuned_model_checkpoint=model)
    with refused(openai.NotFoundError, "nowhere", param="fine_tuned_model_checkpoint"):
        permissions.create("nowhere", project_ids=["proj_a"])


def test_the_result_file_has_the_curves(server, finished):
    (file_id,) = finished.result_files
    client = server.client()
    assert client.files.retrieve(file_id).purpose == "fine-tune-results"
    encoded = client.files.content(file_id)
    plain = server.http().get(f"/v1/fine_tuning/jobs/{finished.id}/step_metrics.csv").content
    assert base64.b64decode(encoded.read(), validate=True) == plain
    assert decode_result_file(encoded.read()) == decode_result_file(plain) == plain.decode()
    lines = plain.decode().splitlines()
    assert lines[0] == "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy"
    assert [int(line.partition(",")[0]) for line in lines[1:]] == list(range(1, STEPS + 1))


def test_the_job_is_one_mlflow_run_with_its_curves_and_versions(server, finished):
    registry = MlflowClient(server.env["MLFLOW_TRACKING_URI"])
    made = registry.search_model_versions("name = 'ft-gpt-4o-mini-long'")
    assert len(made) == 2
    (run_id,) = {version.run_id for version in made}
    run = registry.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["openai_job"] == finished.id and run.data.tags["openai_id"] == finished.fine_tuned_model
    curve = registry.get_metric_history(run_id, "train/loss")
    assert [point.step for point in sorted(curve, key=lambda point: point.step)] == list(range(1, STEPS + 1))


def preference_lines(count):
    """Preferences of one word over an answer of three."""
    rows = [
        {"input": {"messages": [{"role": "user", "content": f"Where is the boat? ({i})"}]},
         "preferred_output": [{"role": "assistant", "content": "There."}],
         "non_preferred_output": [{"role": "assistant", "content": "In the harbour."}]}
        for i in range(count)
    ]  # fmt: skip
    return "\n".join(map(json.dumps, rows)).encode()


def test_a_fine_tuned_model_is_trained_further_on_preferences(server, jobs, finished):
    client = server.client()
    preferences = upload(client, preference_lines(12))
    with refused(openai.BadRequestError, "no rows for the method supervised", param="training_file"):
        jobs.create(model=MODEL, training_file=preferences)
    wanted: Any = {"n_epochs": 4, "batch_size": 4, "learning_rate_multiplier": 1, "beta": 0.2}
    method: Any = {"type": "dpo", "dpo": {"hyperparameters": wanted}}
    model = finished.fine_tuned_model
    made = jobs.create(model=model, training_file=preferences, validation_file=preferences, method=method)
    assert made.method.dpo.hyperparameters.beta == 0.2 and made.method.type == "dpo"
    done = ended(client, made.id)
    assert done.status == "succeeded", done.error
    assert done.fine_tuned_model.startswith("ft:gpt-4o-mini:") and done.fine_tuned_model != model
    steps = [each.data for each in jobs.list_events(done.id) if each.data]
    assert {"train_loss", "train_mean_reward_accuracy", "train_mean_reward_margin", "valid_loss"} <= steps[0].keys()
    registry = MlflowClient(server.env["MLFLOW_TRACKING_URI"])
    tags = registry.search_model_versions(f"tags.openai_id = '{done.fine_tuned_model}'")[0].tags
    assert tags["kind"] == "dpo" and tags["start"].startswith("ft-gpt-4o-mini-long/")
    first = min(steps, key=lambda each: each["step"])
    assert first["train_mean_reward_margin"] == pytest.approx(0, abs=0.01)  # the start is its own reference
    assert first["train_loss"] > 0.68  # log 2 of equal rewards, and cross-entropy
    last = max(steps, key=lambda each: each["step"])
    assert last["full_valid_loss"] < first["train_loss"] and last["valid_mean_reward_accuracy"] == 1.0
    with refused(openai.BadRequestError, "nowhere", code="model_not_available"):
        jobs.create(model="ft:gpt-4o-mini:parley::nowhere", training_file=preferences, method=method)


def test_a_file_that_no_job_needs_any_more_can_be_deleted(server, finished):
    assert server.client().files.delete(finished.validation_file).deleted
