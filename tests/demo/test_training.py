"""Trainings that the page starts: processes of their own, found again by what MLflow has of their runs."""

import base64

import pytest

from data.errors import UserError
from demo.training import Training, Trainings
from demo.training_progress import Progress, progress
from demo.training_tab import settings_of
from demo.view import training as view
from registry import run_process
from registry.run_records import Point, RunRecord
from tests.processes import wait_until

FORM = {"entry": "pirate", "dataset": "tiny", "base": "auto", "begin": "", "learner": "lora", "rate": 0.0,
        "epochs": 0, "name": "pirate", "more": ""}  # fmt: skip


def form(**changes):
    return settings_of(**{**FORM, **changes})


def record(status="RUNNING", **more):
    known = {"experiment_id": "1", "name": "pirate", "entry": "pirate", "started_s": 0.0, "ended_s": None}
    return RunRecord(run_id="a" * 32, status=status, **{**known, "params": {}, "tags": {}, "metrics": {}, **more})


@pytest.fixture
def outputs(tmp_path):
    """A folder of which no training is left at the end."""
    yield tmp_path / "outputs"
    for folder in (tmp_path / "outputs").glob("*"):
        run_process.stop(folder, kill=True)


def await_(condition, what):
    """Waits as a page does: a store that is read all the time can't be written."""
    wait_until(condition, what, pause_s=0.5)


def test_a_training_outlives_the_page_is_found_again_stopped_and_resumed(store, tiny_base, outputs):
    settings = form(base=str(tiny_base), epochs=4000, more="threads=1 precision=fp32 max_new_tokens=4 keep=ends")
    page = Trainings(outputs)
    with pytest.raises(UserError, match="check the rows first"):
        page.start("pirate", settings)
    page._checked.add(("pirate", *(f"--{name}={value}" for name, value in settings.items())))
    run_id = page.start("pirate", settings)
    another = Trainings(outputs)  # as after a restart of the page
    assert [(each.record.run_id, each.state) for each in another.recent()] == [(run_id, "running")]
    await_(lambda: progress(another.find(run_id).record).eval_loss, "the first evaluation")
    with pytest.raises(UserError, match="can't go on"):
        another.resume(another.find(run_id))
    another.stop(another.find(run_id))
    await_(lambda: another.find(run_id).state == "stopped", "the end of the training")
    stopped = another.find(run_id)
    assert stopped.can_resume and stopped.record.status == "KILLED"
    assert another.resume(stopped) == run_id
    assert another.find(run_id).state == "running"
    reached = stopped.record.metrics.get("epoch", 0.0)  # none where the stop came right after the evaluation at step 0
    await_(lambda: another.find(run_id).record.metrics.get("epoch", 0.0) > reached, "another epoch")
    known = progress(another.find(run_id).record)
    assert len(known.samples) >= 3 and {"step", "prompt", "answer"} == set(known.samples[0])
    assert run_process.stop(outputs / run_id, kill=True)
    await_(lambda: another.find(run_id).state == "interrupted", "the end of the process")
    assert another.find(run_id).can_resume and another.find(run_id).record.status == "RUNNING"
    with pytest.raises(UserError, match="not being trained"):
        another.stop(another.find(run_id))


def test_a_wrong_setting_ends_the_check_in_its_own_words(store, tmp_path):
    with pytest.raises(UserError, match="there is no parameter 'rnak'; did you mean rank"):
        list(Trainings(tmp_path).preview("pirate", form(more="rnak=8")))


def test_a_file_is_kept_once_under_its_content_and_only_files_of_rows_are_taken(tmp_path):
    trainings, content = Trainings(tmp_path), base64.b64encode(b"{}").decode()
    first = trainings.keep_file("../../pairs.jsonl", content)
    assert first == trainings.keep_file("C:\\data\\pairs.jsonl", content)
    assert first.read_bytes() == b"{}" and first.is_relative_to(tmp_path) and first.name == "pairs.jsonl"
    with pytest.raises(UserError, match="rows are read from"):
        trainings.keep_file("pairs.exe", content)
    with pytest.raises(UserError, match="did not arrive whole"):
        trainings.keep_file("pairs.json", "no base64!")


def test_the_form_leaves_out_what_is_a_default_and_names_an_item_that_is_no_setting():
    assert form() == {"dataset": "tiny", "register_as": "pirate", "sample_prompts": 3}
    given = form(entry="dpo", dataset="votes", begin="pirate/3", base="bundled", epochs=2.0, more="beta=0.2, seed=3")
    assert given == {"dataset": "votes", "register_as": "pirate", "epochs": 2, "start": "pirate/3", "sample_prompts": 3,
                     "beta": "0.2", "seed": "3"}  # fmt: skip
    assert form(entry="noisy", dataset="reviews", rate=0.3)["rate"] == 0.3
    with pytest.raises(UserError, match="'fast' is no name=value"):
        form(more="fast")
    with pytest.raises(UserError, match="choose a file first"):
        form(dataset=" ")


def test_rate_and_time_left_ignore_a_pause_between_two_steps(monkeypatch):
    from registry import run_records

    times = [0.0, 1.0, 2.0, 500.0, 501.0, 502.0]
    values = {"train/trained_tokens": 100.0, "epoch": 0.5, "train/loss": 1.0}

    def history(run_id, name):
        return [Point(i, i * values[name], at_s) for i, at_s in enumerate(times)]

    monkeypatch.setattr(run_records, "history", history)
    monkeypatch.setattr(run_records, "table", lambda run_id, name: [])
    found = progress(record(params={"epochs": "10"}, metrics={"train/loss": 1.0, "epoch": 2.5}))
    assert found.tokens_per_s == 100 and found.left_s == pytest.approx(15) and found.share == 0.25
    assert found.phase == "training"


def test_a_training_is_shown_with_its_state_error_and_samples_and_nothing_of_it_is_markup():
    samples = [{"step": str(step), "prompt": "<b>Hi</b>", "answer": f"Ahoy {step}"} for step in range(12)]
    known = Progress(0.5, "training", 6, 1.5, 3, 120.0, 75.0, (), (), samples)
    text = str(view.live(Training(record(), "running", False), known))
    assert "&lt;b&gt;Hi" in text and "1 min 15 s" in text and 'aria-valuenow="50.0"' in text
    assert "Ahoy 3" in text and "Ahoy 4" not in text and "Ahoy 11" in text
    failed = record("FAILED", tags={"error": "training diverged at /home/me/x.json <i>"})
    text = str(view.live(Training(failed, "failed", True), known))
    assert "diverged" in text and "/home/me" not in text and "&lt;i&gt;" in text


@pytest.mark.parametrize(("seconds", "words"), [(0.2, "1 s"), (59, "59 s"), (135, "2 min 15 s"), (3900, "1 h 5 min")])
def test_durations_are_in_words(seconds, words):
    assert view.duration(seconds) == words
