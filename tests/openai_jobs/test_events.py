"""Events as metrics and as messages; losses that average hidden tokens in are corrected beside the raw ones."""

import math

import pytest

from openai_jobs.events import Correction, messages, metrics_of, step_of


def event(step, at=0, **data):
    """A kept event."""
    return {"created_at": at, "level": "info", "type": "metrics", "message": "m", "data": {"step": step, **data}}


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


def test_messages_are_all_events_but_metrics_with_warnings_marked():
    odd = {**event(1), "type": "message", "data": None, "message": "Files validated", "level": "warn"}
    assert list(messages([event(1, train_loss=0.1), odd])) == ["warn: Files validated"]
