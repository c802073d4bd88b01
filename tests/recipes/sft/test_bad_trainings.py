"""Trainings that go wrong end unhealthy, through the main job's own path on the bundled base."""

import pytest

from benchmarks.bad_trainings import BAD, train
from train import base_model

pytestmark = pytest.mark.skipif(
    not (base_model.BUNDLED / "config.json").is_file(), reason="the bundled base is not there"
)
#: Two passes over few rows are enough for these.
QUICK = {"responses shifted by one row": 2, "one epoch with lr=1e-4": 1, "max_new_tokens=4": 2, "rows all cut": 2}


@pytest.mark.parametrize("name", QUICK)
def test_a_bad_training_is_not_healthy(name, tmp_path):
    change, settings = BAD[name]
    assert train(change, {**settings, "epochs": QUICK[name]}, "bundled", 60, tmp_path).name != "healthy"
