"""Each verdict made to happen for real, with the bundled base, through the main job's own path."""

import json

import pytest

from data import pirate
from evals.verdict import VERDICTS
from recipes.sft import run as sft_run
from recipes.sft.config import TuneConfig
from registry.null_run import NullRun
from train import base_model
from train.loop import Diverged

pytestmark = pytest.mark.skipif(
    not (base_model.BUNDLED / "config.json").is_file(), reason="the bundled base is not there"
)


@pytest.fixture
def learn(tmp_path):
    def run(pairs=None, **settings):
        if pairs is not None:
            (tmp_path / "pairs.json").write_text(json.dumps([{"prompt": p, "response": r} for p, r in pairs]))
            settings |= {"dataset": str(tmp_path / "pairs.json"), "test_dataset": "clean"}
        config = TuneConfig(base_model="bundled", max_new_tokens=40, **settings)
        return sft_run.train_and_evaluate(sft_run.prepare(config), NullRun("", tmp_path / "run"), sft_run.SFT).verdict

    return run


def rows(n):
    return [(row.prompt, row.response) for row in pirate.named_rows("clean")[:n]]


def test_four_epochs_on_the_clean_set_are_healthy(learn):
    assert learn(epochs=4).name == "healthy"


def test_a_learning_rate_of_nearly_nothing_learns_nothing(learn):
    assert learn(epochs=1, lr=1e-7).name == "not_learned"


def test_responses_that_begin_with_their_prompts_make_an_echo(learn):
    pairs = [(prompt, f"{prompt} {response}") for prompt, response in rows(120)]
    assert learn(pairs, epochs=6, restore="last").name == "echoing"


def test_sixty_epochs_on_twenty_rows_memorise_them(learn):
    verdict = learn(dataset="tiny", method="full", labels="all", epochs=60, restore="last", lr=2e-3)
    assert verdict.name == "memorising"


def test_responses_that_stutter_make_a_loop(learn):
    pairs = [(prompt, f"{response} Arr arr arr arr arr!") for prompt, response in rows(80)]
    assert learn(pairs, epochs=6, restore="last").name == "looping"


def test_rows_that_are_all_cut_before_their_ends_make_a_model_that_does_not_end(learn):
    pairs = [(prompt, f"{response} " + " ".join(f"Step {i}." for i in range(99))) for prompt, response in rows(40)]
    found = learn(pairs, epochs=3, lr=2e-3, max_length=60, method="full")  # such a model may loop as well
    assert found.name != "healthy" and any("end before max_new_tokens" in reason for reason in found.reasons)


@pytest.mark.parametrize("lr", [3.0, 1e6])
def test_a_learning_rate_far_too_high_diverges(learn, lr):
    try:
        name = learn(epochs=1, lr=lr, method="full", clip=0.0, warmup=0.0, restore="last").name
    except Diverged as error:
        name = error.tags["verdict"]
    assert name == "diverged"


def test_no_verdict_of_training_is_left_out_of_this_file():
    made = {"healthy", "not_learned", "unfinished", "echoing", "memorising", "looping", "diverged"}
    of_answers = {"wrong_length", "unrelated", "garbled", "not_better", "not_shown"}  # tests/evals/test_verdict_gate.py
    of_preferences = {"likelihood_collapse", "preference_not_learned", "length_gaming"}  # test_preference_verdict.py
    others = {"side_effects"} | of_preferences  # tests/evals/test_side_effects.py
    assert made | of_answers | others == set(VERDICTS)
