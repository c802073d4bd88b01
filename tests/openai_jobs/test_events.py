"""A job is followed event by event: each once and in order, into metrics by step, whoever is killed on the way."""

import base64
import json

import pytest
from mlflow.tracking import MlflowClient

from data.errors import UserError
from openai_jobs import events
from openai_jobs.endpoint import from_environment
from openai_jobs.event_metrics import Correction
from openai_jobs.events import EventReader
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
    """``place(...)`` gives a server with a job, and a desk there whose pauses take no time."""

    def place(**settings):
        fake = fake_openai(**settings)
        file_id = fake.keep_file("f", b"x", "fine-tune")["id"]
        job = fake._create({"model": "gpt-4o-mini", "training_file": file_id})
        endpoint, told = from_environment(), []
        client = endpoint.client().with_options(max_retries=0)
        desk = JobClient(client, endpoint, IdempotencyLog(tmp_path / "l"), told.append, lambda s: None)
        return fake, job["id"], desk, told

    return place


def book_of(run, tmp_path, correction=HIDDEN):
    return EventReader(run, tmp_path / "events.jsonl", correction)


def points(run, key):
    return [(m.step, m.value) for m in MlflowClient().get_metric_history(run.run_id, key)]


def test_every_event_is_kept_once_and_in_order_across_pages(place, run, tmp_path):
    fake, job_id, desk, _ = place(steps=130, steps_a_look=130, epochs=2)
    mine = run()
    job = events.follow(desk, job_id, book_of(mine, tmp_path))
    kept = [json.loads(line)["id"] for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert job.status == "succeeded"
    assert kept == [event["id"] for event in fake.events[job_id]]
    assert sorted(points(mine, "train/loss")) == [(s, pytest.approx(0.7 - 0.01 * s, abs=1e-4)) for s in range(1, 131)]
    assert {step for step, _ in points(mine, "eval/loss")} == {65, 130}


def test_the_corrected_curve_stands_beside_the_raw_one(place, run, tmp_path):
    _, job_id, desk, _ = place(steps=6)
    mine = run()
    events.follow(desk, job_id, book_of(mine, tmp_path))
    raw, right = (dict(points(mine, f"train/{name}")) for name in ("loss", "loss_corrected"))
    assert right == {step: pytest.approx(3 * value) for step, value in raw.items()} and len(right) == 6
    accuracy = dict(points(mine, "train/token_accuracy_corrected"))
    assert accuracy[6] == pytest.approx(1.0, abs=1e-3)


def test_metrics_are_in_the_store_while_the_job_runs(place, run, tmp_path):
    _, job_id, desk, _ = place(steps=30, steps_a_look=10)
    mine, seen = run(), []
    desk.pause = lambda seconds: seen.append(len(points(mine, "train/loss")))
    events.follow(desk, job_id, book_of(mine, tmp_path))
    assert seen == [0, 0, 10, 20]


def test_who_is_killed_between_the_metrics_and_the_file_tells_nothing_twice(place, run, tmp_path, monkeypatch):
    _, job_id, desk, _ = place(steps=9, steps_a_look=3)
    mine = run()
    for _ in range(6):  # killed each time after the metrics of one look were sent
        with monkeypatch.context() as patch:
            patch.setattr(events, "append", die)
            with pytest.raises(KeyboardInterrupt):
                events.follow(desk, job_id, book_of(mine, tmp_path))
    events.follow(desk, job_id, book_of(mine, tmp_path))
    assert [step for step, _ in sorted(points(mine, "train/loss"))] == list(range(1, 10))


def die(*args):
    raise KeyboardInterrupt


def test_a_torn_line_is_told_again_and_two_followers_write_one_curve(place, run, tmp_path):
    _, job_id, desk, _ = place(steps=9, steps_a_look=3)
    mine = run()
    events.follow(desk, job_id, book_of(mine, tmp_path))
    path = tmp_path / "events.jsonl"
    path.write_text(path.read_text()[:-20])
    (tmp_path / "other").mkdir()
    for folder in (tmp_path, tmp_path / "other"):
        events.follow(desk, job_id, book_of(mine, folder))
    assert len(points(mine, "train/loss")) == 9
    lines = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
    assert len({line["id"] for line in lines}) == len(lines) == 14


def test_a_job_that_goes_on_from_a_checkpoint_repeats_no_step(place, run, tmp_path):
    fake, job_id, desk, _ = place(steps=4)
    mine = run()
    fake._tell(fake.jobs[job_id], "m", {"step": 3, "train_loss": 0.9, "total_steps": 4})
    events.follow(desk, job_id, book_of(mine, tmp_path))
    assert [step for step, _ in points(mine, "train/loss")] == [3, 4]


def test_lines_come_with_a_new_status_or_after_some_seconds(place, run, tmp_path):
    _, job_id, desk, told = place(steps=40, steps_a_look=1)
    mine, slept = run(), []
    desk.pause = slept.append
    events.follow(desk, job_id, book_of(mine, tmp_path))
    lines = [line for line in told if line.startswith("Job ")]
    statuses = [line.split()[2].strip(",") for line in lines]
    assert statuses[:2] == ["queued", "running"] and statuses[-1] == "succeeded"
    assert len(lines) == pytest.approx(2 + sum(slept) / events.SAY_S, abs=3)
    assert max(slept) == events.BUSY_S
    assert sum(line.startswith("Event ") for line in told) == 5


def test_a_server_that_is_away_for_a_while_is_waited_for(place, run, tmp_path):
    fake, job_id, desk, told = place(steps=3)
    fake.before = lambda number, method, path: gone() if 2 <= number <= 6 else None
    assert events.follow(desk, job_id, book_of(run(), tmp_path)).status == "succeeded"
    assert sum("it is asked again for 15 min" in line for line in told) == 1


def gone():
    raise Dropped


def test_a_server_that_stays_away_is_left_with_a_word_how_to_go_on(place, run, tmp_path):
    fake, job_id, desk, _ = place()
    fake.before = lambda *args: gone()
    with pytest.raises(UserError, match="ftjob-1 goes on there; go on with resume, or watch it by -e monitor"):
        events.follow(desk, job_id, book_of(run(), tmp_path))


def test_a_job_that_is_not_there_is_not_waited_for(place, run, tmp_path):
    _, _, desk, _ = place()
    with pytest.raises(UserError, match="refuses to tell of ftjob-9"):
        events.follow(desk, "ftjob-9", book_of(run(), tmp_path))


def test_a_failed_job_stops_the_run_with_its_reason(place, run, tmp_path):
    fails = {"code": "invalid_training_file", "message": "line 3 is empty", "param": "training_file"}
    _, job_id, desk, _ = place(steps=3, fails=fails)
    job = events.follow(desk, job_id, book_of(run(), tmp_path))
    with pytest.raises(UserError, match=r"failed: invalid_training_file \(training_file\): line 3 is empty; nothing"):
        events.require_success(job)


@pytest.mark.parametrize("as_base64", [False, True])
def test_the_result_file_is_read_and_kept_plain(as_base64, place, run, tmp_path):
    _, job_id, desk, _ = place(steps=5, result_base64=as_base64)
    job = events.follow(desk, job_id, book_of(run(), tmp_path))
    rows = events.result_rows(desk, job, tmp_path / "step_metrics.csv")
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5]
    assert rows[0] == {"step": 1.0, "train_loss": 0.69, "train_accuracy": 0.9, "valid_loss": None,
                       "valid_mean_token_accuracy": None}  # fmt: skip
    assert (tmp_path / "step_metrics.csv").read_text().startswith("step,train_loss")


def test_what_looks_like_base64_and_is_none_is_left_as_it_is():
    assert events.decoded(b"abcd") == "abcd"
    assert events.decoded(base64.b64encode(b"step,x\n1,2")) == "step,x\n1,2"
    assert events.decoded(b"\xef\xbb\xbfstep,x\n1,2") == "step,x\n1,2"


def test_what_the_events_had_not_is_taken_from_the_result_file(place, run, tmp_path):
    fake, job_id, desk, _ = place(steps=5)
    mine = run()
    job = events.follow(desk, job_id, book_of(mine, tmp_path))
    rows = [{"step": step, "train_loss": 0.5, "valid_loss": 0.4} for step in range(1, 8)]
    assert events.log_missing(mine, rows, HIDDEN, job.finished_at) == 2 + 2  # two steps of both
    assert events.log_missing(mine, rows, HIDDEN, job.finished_at) == 0
    assert [step for step, _ in points(mine, "train/loss_corrected")] == [1, 2, 3, 4, 5, 6, 7]


def test_a_server_without_checkpoints_or_result_file_is_told_of_and_goes_on(place, run, tmp_path):
    fake, job_id, desk, told = place(steps=3, lacks={"checkpoints"})
    job = events.follow(desk, job_id, book_of(run(), tmp_path))
    fake.refusals[f"GET /files/{job.result_files[0]}/content"] = error(404, "gone", "not_found")
    assert events.checkpoints(desk, job_id) == {}
    assert events.result_rows(desk, job, tmp_path / "r.csv") == []
    assert sum(line.startswith("Note ") for line in told) == 2
