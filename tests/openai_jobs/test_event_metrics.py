"""What events say, in metrics and in words; losses that average hidden tokens in are corrected beside the raw ones."""

import math
from types import SimpleNamespace

import pytest

from openai_jobs.event_metrics import Correction, failure, in_words, messages, metrics_of, progress, step_of


def event(step, at=0, **data):
    """A kept event."""
    return {"created_at": at, "level": "info", "type": "metrics", "message": "m", "data": {"step": step, **data}}


def job(status="running", finish=None, error=None):
    return SimpleNamespace(id="ftjob-1", status=status, estimated_finish=finish, error=error)


def test_all_spellings_of_a_metric_have_one_name_here():
    azure = {"step": 3, "train_loss": 1, "validation_mean_token_accuracy": 0.5, "full_valid_loss": 2.0}
    assert metrics_of(azure) == {"train/loss": 1.0, "eval/token_accuracy": 0.5, "eval/full_loss": 2.0}
    assert metrics_of({"train_loss": None, "train_accuracy": "much", "valid_loss": True}) == {}
    assert metrics_of(None) == {} and step_of(None) is None
    assert (step_of({"step": 3.0}), step_of({"step_number": 4}), step_of({"step": "x"})) == (3, 4, None)


def test_the_correction_undoes_two_hidden_tokens():
    # random binary labels: a mean over the label and two certain tokens
    raw = {"train/loss": math.log(2) / 3, "train/token_accuracy": 2.5 / 3}
    assert Correction(1, 2).of(raw) == pytest.approx(
        {"train/loss_corrected": math.log(2), "train/token_accuracy_corrected": 0.5}
    )
    longer = {"train/loss": 2 * 0.6 / 4}
    assert Correction(2, 2).of(longer) == pytest.approx({"train/loss_corrected": 0.6})


def test_a_correction_never_leaves_what_is_possible_and_none_is_no_series():
    low = Correction(1, 2).of({"train/token_accuracy": 0.1, "train/loss": -0.01})
    assert low == {"train/token_accuracy_corrected": 0.0, "train/loss_corrected": 0.0}
    assert Correction(1, 0).of({"train/loss": 1.0}) == {}


def test_progress_tells_status_step_loss_and_what_is_left():
    events = [event(i, 1000 + 2 * i, total_steps=300, train_loss=0.5) for i in (1, 100)]
    assert progress(job(), events) == "ftjob-1 running, step 100 of 300, training loss 0.500, about 7 min left"
    assert progress(job(finish=1090), [], 1000.0) == "ftjob-1 running, about 90 s left".replace("90 s", "2 min")
    assert progress(job("validating_files"), []) == "ftjob-1 validating files"
    assert progress(job("succeeded", finish=2000), events, 1000.0).endswith("training loss 0.500")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(4, "4 s"), (89, "89 s"), (90, "2 min"), (5340, "89 min"), (5400, "1 h 30 min"), (90000, "25 h 0 min")],
)
def test_times_are_told_in_words(seconds, words):
    assert in_words(seconds) == words


def test_users_read_everything_but_metrics_and_worries_are_marked():
    odd = {**event(1), "type": "message", "data": None, "message": "Files validated", "level": "warn"}
    assert list(messages([event(1, train_loss=0.1), odd])) == ["warn: Files validated"]


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        ({"code": None, "message": None, "param": None}, "failed", "the server gives no reason"),
        (None, "cancelled", "somebody cancelled it"),
        ({"code": "invalid_training_file", "message": "Line 3 is bad, sk-abc123", "param": "training_file"}, "failed",
         "invalid_training_file (training_file): Line 3 is bad, ***"),
    ],
)  # fmt: skip
def test_the_reason_of_a_failure_is_told_in_words(error, status, words):
    assert failure(job(status, error=SimpleNamespace(**error) if error else None)) == words
