"""Tokens and cost of a job are reported before anything is sent, and a budget below it stops the run."""

import json
from dataclasses import replace

import pytest

from data.errors import DataError
from data.prompts import conversation
from openai_jobs.endpoint import Endpoint
from openai_jobs.token_counter import estimated_tokens
from recipes.noisy_labels import data
from recipes.noisy_labels.config import NoisyConfig
from recipes.noisy_labels.data import TokenLimits
from recipes.noisy_labels.learners.openai import OpenAILearner

PRICES = {
    "as_of": "2030-01", "currency": "EUR", "tokens": 1000,
    "models": {"gpt-4o-mini": {"train": 1.0, "input": 0.1, "output": 10.0}},
}  # fmt: skip
SETTINGS = {"provider": "openai", "n_train": 0, "n_test": 0, "n_memory": 20, "rate": 0.2, "epochs": 4}


@pytest.fixture
def rows(tmp_path):
    """Paths of 40 training and 20 test rows."""
    found = []
    for name, n in (("train", 40), ("test", 20)):
        lines = [json.dumps({"text": f"{name} film {i} was a film", "label": i // 3 % 2}) for i in range(n)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
        found.append(str(tmp_path / f"{name}.jsonl"))
    return dict(zip(("dataset", "test_dataset"), found, strict=True))


@pytest.fixture
def estimate_cost(rows, tmp_path):
    """``estimate_cost(name=value)``: the config, its rows, and the preflight with its cost."""
    (tmp_path / "prices.json").write_text(json.dumps(PRICES))

    def estimate_cost(**settings):
        config = NoisyConfig(**{**SETTINGS, **rows, "prices": str(tmp_path / "prices.json"), **settings})
        learner = OpenAILearner(config, Endpoint("http://127.0.0.1:9/v1"))
        limits = learner.token_limits()
        found = data.prepare(config, data.read(config), limits)
        return config, found, learner.estimate_cost(found, data.run_preflight(found, config, limits))

    return estimate_cost


def tokens_of(rows, labels, template):
    return sum(estimated_tokens(conversation(row, labels, template)) for row in rows)


def test_tokens_and_cost_are_those_of_all_epochs_and_of_every_evaluation(estimate_cost):
    config, rows, preflight = estimate_cost()
    trained = tokens_of(rows.train.rows, rows.labels, rows.template)
    tested = tokens_of(rows.test, rows.labels, rows.template)
    prompts = 4 * (tested + round(trained * 20 / len(rows.train.rows)))  # base, tuned model, two checkpoints
    answered = 4 * (20 + 20) * config.max_new_tokens
    numbers = preflight.numbers
    assert (numbers["train_tokens"], numbers["asked_tokens"], numbers["answered_tokens"]) == (
        4 * trained, prompts, answered,
    )  # fmt: skip
    assert numbers["cost"] == pytest.approx((4 * trained + 0.1 * prompts + 10 * answered) / 1000)
    assert any("by the prices of 2030-01 for gpt-4o-mini" in line and "EUR" in line for line in preflight.facts)


def test_a_batch_costs_half_of_single_requests(estimate_cost):
    whole, half = (estimate_cost(mode=mode)[2].numbers for mode in ("chat", "batch"))
    training = whole["train_tokens"] / 1000
    assert half["cost"] - training == pytest.approx((whole["cost"] - training) / 2)


def test_a_budget_below_the_estimate_stops_the_run(estimate_cost):
    cost = estimate_cost()[2].numbers["cost"]
    estimate_cost(budget_usd=cost + 0.01)[2].require()
    with pytest.raises(DataError, match=r"budget_usd=1: the job is estimated at .* EUR; nothing was sent"):
        estimate_cost(budget_usd=1.0)[2].require()


def test_a_model_without_a_price_is_a_warning_and_with_a_budget_an_error(estimate_cost):
    preflight = estimate_cost(model="llama")[2]
    assert "no price of llama is known: give a table with it, prices=FILE" in preflight.warnings
    with pytest.raises(DataError, match="no price of llama"):
        estimate_cost(model="llama", budget_usd=1.0)[2].require()


def test_texts_are_cut_to_what_a_job_takes_whole(rows):
    config = replace(NoisyConfig(**{**SETTINGS, **rows}), max_length=64)
    limits = OpenAILearner(config, Endpoint("http://127.0.0.1:9/v1")).token_limits()
    assert isinstance(limits, TokenLimits) and limits.max_tokens == 64 - config.max_new_tokens and limits.validates
