"""A job is followed event by event: each once and in order, into metrics by step, whoever is killed on the way."""

import base64
import json
from types import SimpleNamespace

import pytest
from mlflow.tracking import MlflowClient

from data.errors import UserError
from openai_jobs import events, monitor
from openai_jobs.endpoint import from_environment
from openai_jobs.events import Correction, EventReader
from openai_jobs.exactly_once import IdempotencyLog
from openai_jobs.jobs import JobClient
from registry import runs
from tests.fake_openai import Dropped, error

HIDDEN = Correction(1.0, 2)


@pytest.fixture(scope="module")
def run(settle, tmp_path_factory):
    """``run()`` begins another run in one store."""
    folder = tmp_path_factory.mktemp("followed")
    with pytest.MonkeyPatch.context() as patch:
        settle(folder, patch)
        yield lambda: runs.start("noisy", folder / "outputs")


@pytest.fixture
def place(fake_openai, tmp_path):
    """``place(...)`` gives a server with a job, and a client there whose pauses take no time."""

    def place(**settings):
        fake = fake_openai(**settings)
        file_id = fake.keep_file("f", b"x", "fine-tune")["id"]
        job = fake._create({"model": "gpt-4o-mini", "training_file": file_id})
        endpoint, lines = from_environment(), []
        client = endpoint.client().with_options(max_retries=0)
        client = JobClient(client, endpoint, IdempotencyLog(tmp_path / "l"), lines.append, lambda s: None)
        return fake, job["id"], client, lines

    return place


def reader_of(run, tmp_path, correction=HIDDEN):
    return EventReader(run, tmp_path / "events.jsonl", correction)


def points(run, key):
    return [(m.step, m.value) for m in MlflowClient().get_metric_history(run.run_id, key)]


def test_every_event_is_kept_once_and_in_order_across_pages(place, run, tmp_path):
    fake, job_id, client, _ = place(steps=130, steps_a_look=130, epochs=2)
    mine = run()
    job = monitor.follow(client, job_id, reader_of(mine, tmp_path))
    kept = [json.loads(line)["id"] for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert job.status == "succeeded"
    assert kept == [event["id"] for event in fake.events[job_id]]
    assert sorted(points(mine, "train/loss")) == [(s, pytest.approx(0.7 - 0.01 * s, abs=1e-4)) for s in range(1, 131)]
    assert {step for step, _ in points(mine, "eval/loss")} == {65, 130}


def test_the_corrected_curve_stands_beside_the_raw_one(place, run, tmp_path):
    _, job_id, client, _ = place(steps=6)
    mine = run()
    monitor.follow(client, job_id, reader_of(mine, tmp_path))
    raw, right = (dict(points(mine, f"train/{name}")) for name in ("loss", "loss_corrected"))
    assert right == {step: pytest.approx(3 * value) for step, value in raw.items()} and len(right) == 6
    accuracy = dict(points(mine, "train/token_accuracy_corrected"))
    assert accuracy[6] == pytest.approx(1.0, abs=1e-3)


def test_metrics_are_in_the_store_while_the_job_runs(place, run, tmp_path):
    _, job_id, client, _ = place(steps=30, steps_a_look=10)
    mine, seen = run(), []
    client.pause = lambda seconds: seen.append(len(points(mine, "train/loss")))
    monitor.follow(client, job_id, reader_of(mine, tmp_path))
    assert seen == [0, 0, 10, 20]


def test_a_kill_between_the_metrics_and_the_file_logs_nothing_twice(place, run, tmp_path, monkeypatch):
    _, job_id, client, _ = place(steps=9, steps_a_look=3)
    mine = run()
    for _ in range(6):  # killed each time after the metrics of one look were sent
        with monkeypatch.context() as patch:
            patch.setattr(events, "append", die)
            with pytest.raises(KeyboardInterrupt):
                monitor.follow(client, job_id, reader_of(mine, tmp_path))
    monitor.follow(client, job_id, reader_of(mine, tmp_path))
    assert [step for step, _ in sorted(points(mine, "train/loss"))] == list(range(1, 10))


def die(*args):
    raise KeyboardInterrupt


def test_a_torn_event_is_read_again_and_two_readers_write_one_curve(place, run, tmp_path):
    _, job_id, client, _ = place(steps=9, steps_a_look=3)
    mine = run()
    monitor.follow(client, job_id, reader_of(mine, tmp_path))
    path = tmp_path / "events.jsonl"
    path.write_text(path.read_text()[:-20])
    (tmp_path / "other").mkdir()
    for folder in (tmp_path, tmp_path / "other"):
        monitor.follow(client, job_id, reader_of(mine, folder))
    assert len(points(mine, "train/loss")) == 9
    lines = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
    assert len({line["id"] for line in lines}) == len(lines) == 14


def test_a_job_that_goes_on_from_a_checkpoint_repeats_no_step(place, run, tmp_path):
    fake, job_id, client, _ = place(steps=4)
    mine = run()
    fake._add_event(fake.jobs[job_id], "m", {"step": 3, "train_loss": 0.9, "total_steps": 4})
    monitor.follow(client, job_id, reader_of(mine, tmp_path))
    assert [step for step, _ in points(mine, "train/loss")] == [3, 4]


def test_lines_come_with_a_new_status_or_after_some_seconds(place, run, tmp_path):
    _, job_id, client, lines = place(steps=40, steps_a_look=1)
    mine, slept = run(), []
    client.pause = slept.append
    monitor.follow(client, job_id, reader_of(mine, tmp_path))
    about_job = [line for line in lines if line.startswith("Job ")]
    statuses = [line.split()[2].strip(",") for line in about_job]
    assert statuses[:2] == ["queued", "running"] and statuses[-1] == "succeeded"
    assert len(about_job) == pytest.approx(2 + sum(slept) / monitor.LINE_S, abs=3)
    assert max(slept) == monitor.BUSY_S
    assert sum(line.startswith("Event ") for line in lines) == 5


def test_a_server_that_is_unreachable_for_a_while_is_waited_for(place, run, tmp_path):
    fake, job_id, client, lines = place(steps=3)
    fake.before = lambda number, method, path: gone() if 2 <= number <= 6 else None
    assert monitor.follow(client, job_id, reader_of(run(), tmp_path)).status == "succeeded"
    assert sum("it is tried again for 15 min" in line for line in lines) == 1


def gone():
    raise Dropped


def test_a_server_that_stays_unreachable_ends_the_following_with_how_to_go_on(place, run, tmp_path):
    fake, job_id, client, _ = place()
    fake.before = lambda *args: gone()
    with pytest.raises(UserError, match="ftjob-1 goes on there; go on with resume, or watch it by -e monitor"):
        monitor.follow(client, job_id, reader_of(run(), tmp_path))


def test_a_job_that_is_not_there_is_not_waited_for(place, run, tmp_path):
    _, _, client, _ = place()
    with pytest.raises(UserError, match="refuses to retrieve ftjob-9"):
        monitor.follow(client, "ftjob-9", reader_of(run(), tmp_path))


def test_a_failed_job_stops_the_run_with_its_reason(place, run, tmp_path):
    fails = {"code": "invalid_training_file", "message": "line 3 is empty", "param": "training_file"}
    _, job_id, client, _ = place(steps=3, fails=fails)
    job = monitor.follow(client, job_id, reader_of(run(), tmp_path))
    with pytest.raises(UserError, match=r"failed: invalid_training_file \(training_file\): line 3 is empty; nothing"):
        monitor.require_success(job)


@pytest.mark.parametrize("as_base64", [False, True])
def test_the_result_file_is_read_and_kept_plain(as_base64, place, run, tmp_path):
    _, job_id, client, _ = place(steps=5, result_base64=as_base64)
    job = monitor.follow(client, job_id, reader_of(run(), tmp_path))
    rows = monitor.result_rows(client, job, tmp_path / "step_metrics.csv")
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5]
    assert rows[0] == {"step": 1.0, "train_loss": 0.69, "train_accuracy": 0.9, "valid_loss": None,
                       "valid_mean_token_accuracy": None}  # fmt: skip
    assert (tmp_path / "step_metrics.csv").read_text().startswith("step,train_loss")


def test_what_looks_like_base64_and_is_none_is_left_as_it_is():
    assert monitor.decode_result_file(b"abcd") == "abcd"
    assert monitor.decode_result_file(base64.b64encode(b"step,x\n1,2")) == "step,x\n1,2"
    assert monitor.decode_result_file(b"\xef\xbb\xbfstep,x\n1,2") == "step,x\n1,2"


def test_what_the_events_had_not_is_taken_from_the_result_file(place, run, tmp_path):
    fake, job_id, client, _ = place(steps=5)
    mine = run()
    job = monitor.follow(client, job_id, reader_of(mine, tmp_path))
    rows = [{"step": step, "train_loss": 0.5, "valid_loss": 0.4} for step in range(1, 8)]
    assert monitor.log_missing(mine, rows, HIDDEN, job.finished_at) == 2 + 2  # two steps of both
    assert monitor.log_missing(mine, rows, HIDDEN, job.finished_at) == 0
    assert [step for step, _ in points(mine, "train/loss_corrected")] == [1, 2, 3, 4, 5, 6, 7]


def test_missing_checkpoints_and_result_files_are_reported_and_stop_nothing(place, run, tmp_path):
    fake, job_id, client, lines = place(steps=3, lacks={"checkpoints"})
    job = monitor.follow(client, job_id, reader_of(run(), tmp_path))
    fake.refusals[f"GET /files/{job.result_files[0]}/content"] = error(404, "gone", "not_found")
    assert monitor.checkpoints(client, job_id) == {}
    assert monitor.result_rows(client, job, tmp_path / "r.csv") == []
    assert sum(line.startswith("Note ") for line in lines) == 2


def event(step, at=0, **data):
    """A kept event."""
    return {"created_at": at, "level": "info", "type": "metrics", "message": "m", "data": {"step": step, **data}}


def job_now(status="running", finish=None, error=None):
    return SimpleNamespace(id="ftjob-1", status=status, estimated_finish=finish, error=error)


def test_progress_gives_status_step_loss_and_the_time_left():
    events = [event(i, 1000 + 2 * i, total_steps=300, train_loss=0.5) for i in (1, 100)]
    line = monitor.progress_line(job_now(), events)
    assert line == "ftjob-1 running, step 100 of 300, training loss 0.500, about 7 min left"
    assert monitor.progress_line(job_now(finish=1090), [], 1000.0) == "ftjob-1 running, about 2 min left"
    assert monitor.progress_line(job_now("validating_files"), []) == "ftjob-1 validating files"
    assert monitor.progress_line(job_now("succeeded", finish=2000), events, 1000.0).endswith("training loss 0.500")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(4, "4 s"), (89, "89 s"), (90, "2 min"), (5340, "89 min"), (5400, "1 h 30 min"), (90000, "25 h 0 min")],
)
def test_durations_are_formatted(seconds, words):
    assert monitor.format_duration(seconds) == words


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        ({"code": None, "message": None, "param": None}, "failed", "the server gives no reason"),
        (None, "cancelled", "somebody cancelled it"),
        ({"code": "invalid_training_file", "message": "Line 3 is bad, sk-abc123", "param": "training_file"}, "failed",
         "invalid_training_file (training_file): Line 3 is bad, ***"),
    ],
)  # fmt: skip
def test_the_reason_of_a_failure_is_given_in_words(error, status, words):
    assert monitor.failure_reason(job_now(status, error=SimpleNamespace(**error) if error else None)) == words
