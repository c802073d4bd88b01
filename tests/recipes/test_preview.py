"""What a training would do: rows that can't be used, the trained tokens, and an estimate from measured steps."""

import json

import pytest

from recipes.dpo.config import DpoConfig
from recipes.noisy_labels.config import NoisyConfig
from recipes.preview import preview
from recipes.sft.config import TuneConfig

QUICK = {"precision": "fp32", "threads": 1}


def events(config):
    return {event["kind"]: event for event in preview(config)}


def test_every_problem_of_the_rows_is_told_and_nothing_else_is_done(tmp_path):
    file = tmp_path / "pairs.jsonl"
    file.write_text('{"prompt": "Hi", "response": " "}\n{"prompt": "Hi", "respons": "Ahoy"}\n')
    found = events(TuneConfig(dataset=str(file)))
    assert list(found) == ["problems"] and found["problems"]["count"] == 2
    assert "the response is blank" in found["problems"]["lines"][0]
    assert 'rename "respons" to "response"' in found["problems"]["lines"][1]


@pytest.fixture(scope="module")
def of_pairs(tiny_base):
    return events(TuneConfig(dataset="tiny", base_model=str(tiny_base), epochs=3, **QUICK))


def test_five_rows_are_shown_token_by_token_and_only_answers_are_trained(of_pairs):
    rows = of_pairs["mask"]["rows"]
    assert len(rows) == 5 and of_pairs["mask"]["total"] == 20
    trained = ["".join(text for text, is_trained in row if is_trained) for row in rows]
    assert all("arr" in text or "matey" in text or "be" in text for text in trained)
    assert not any(is_trained for _, is_trained in rows[0][:3])


def test_time_is_that_of_measured_steps_times_the_steps_of_the_training(of_pairs):
    found = of_pairs["estimate"]
    assert found["steps"] == 9 and found["measured"] == 3
    assert found["train_s"] >= found["steps"] * found["step_s"] > 0
    assert found["memory_bytes"] > 10**8 and found["parameters"] > 10**5


def test_preferences_and_labels_are_previewed_by_their_own_recipes(tiny_base, tmp_path):
    pairs = tmp_path / "pairs.jsonl"
    rows = [{"prompt": f"Say {n} to {n + 1}", "chosen": f"{n}", "rejected": f"No, {n}."} for n in range(20)]
    pairs.write_text("\n".join(map(json.dumps, rows)))
    of_preferences = events(DpoConfig(dataset=str(pairs), base_model=str(tiny_base), epochs=1, **QUICK))
    assert list(of_preferences) == ["rows", "mask", "estimate"]
    noisy = {"n_train": 40, "n_test": 10, "base_model": str(tiny_base), "max_length": 256, "batch_size": 4}
    of_labels = events(NoisyConfig(**noisy, **QUICK))
    assert list(of_labels) == ["rows", "mask", "estimate"]


def test_a_job_at_an_api_is_not_started_from_a_preview():
    found = events(NoisyConfig(provider="openai"))
    assert "may cost money" in found["problems"]["lines"][0]
