"""A judge compares the answers of base and version, is compared with people's blind votes, and combined with them."""

import json

import pytest
from mlflow.tracking import MlflowClient

from data.errors import ConfigError, UserError
from inference.transcript import ModelInfo, Reply, Sampling
from recipes.evaluation import judged, models
from registry import runs, versions
from registry.votes import store as vote_store
from registry.votes.votes import Side, Vote
from steps.evaluate import evaluate

PROMPTS = ["Hello there, friend.", "Where is the boat?", "What is a ship?", "Who are you?", "Is it late?"]


@pytest.fixture
def prompts(tmp_path):
    """A file of five prompts."""
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"prompt": each, "response": "-"}) + "\n" for each in PROMPTS))
    return path


def cast(number, choice, swapped=False):
    """A blind vote between pirate/1, whose answer is long, and its base, on the left unless ``swapped``."""
    both = [("pirate/1:base", "No."), ("pirate/1", "Ahoy, and a long answer it is.")]
    left, right = (
        Side(ModelInfo(reference, "lora", "ab", "tiny", "cd", 9), Reply(text, (1, 2), "end", 0.1, 0.5))
        for reference, text in (reversed(both) if swapped else both)
    )
    vote_store.record(Vote(f"e{number}", "v", choice, True, f"Hi {number}", left, right, Sampling(), 1_700_000_000.0))


def prefers_longer(model, text):
    """A judge that takes the longer answer, and the first of two equally long ones."""
    first, _, rest = text.partition("Answer A:\n")[2].partition("\n\nAnswer B:\n")
    second = rest.partition("\n\nWhich answer")[0]
    return ("B" if len(second) > len(first) else "A"), 0.5


def metrics_of_the_run():
    client = MlflowClient()
    experiment = client.get_experiment_by_name("parley")
    return client.search_runs([experiment.experiment_id], "tags.entry = 'evaluate'")[0].data.metrics


def test_a_judge_at_an_api_is_shown_with_its_bias_its_agreement_and_the_votes(version, prompts, fake_openai, capsys):
    for number in range(10):
        cast(number, "right" if number < 7 else "left", swapped=number in (1, 8))
    fake_openai(says=prefers_longer)
    flags = ["--judge=openai:gpt-4o", f"--test_dataset={prompts}", "--max_new_tokens=8", "--threads=1"]
    evaluate([f"--version={version}", *flags])
    lines = {each.split()[0]: each for each in capsys.readouterr().out.splitlines() if each}
    assert "openai:gpt-4o on 5 held-out prompts, each in both orders" in lines["Judge"]
    assert "bias" in lines["Position"] and "kappa" in lines["Votes"] and "10 blind votes" in lines["Votes"]
    assert "prediction-powered: 10 votes" in lines["Together"]
    found = metrics_of_the_run()
    assert found["judge/win_rate_low"] <= found["judge/win_rate"] <= found["judge/win_rate_high"]
    assert found["judge/prompts"] == 5 and found["judge/votes"] == 10
    assert {"judge/position_bias", "judge/kappa", "judge/with_votes"} <= set(found)


def test_a_registered_version_can_be_the_judge_and_its_position_bias_shows(version, prompts, capsys):
    evaluate([
        f"--version={version}", f"--judge={version}:base", f"--test_dataset={prompts}", "--max_new_tokens=4",
        "--limit=3", "--threads=1",
    ])  # fmt: skip
    assert "pirate/1:base on 3 held-out prompts" in capsys.readouterr().out
    assert -1 <= metrics_of_the_run()["judge/position_bias"] <= 1


def test_votes_count_for_the_version_wherever_it_stood():
    def vote(choice, swapped):
        references = ["pirate/1:base", "pirate/1"]
        left, right = (
            Side(ModelInfo(each, "lora", "", "", "", 0), Reply("x", (), "end", None, 0.0))
            for each in (reversed(references) if swapped else references)
        )
        return Vote("e", "v", choice, True, "Hi", left, right, Sampling(), 0.0)

    for_version = [vote("right", False), vote("left", True)] * 4
    found = judged.combined([judged.Judgement("B", "A")] * 4, [
        (each, judged.Judgement("B", "A") if each.choice == "right" else judged.Judgement("A", "B"))
        for each in for_version
    ], "pirate/1")  # fmt: skip
    assert found and found.value == pytest.approx(1.0)
    assert judged.combined([], [(for_version[0], judged.Judgement("B", "A"))], "pirate/1") is None


def test_the_prompts_are_those_that_the_run_of_the_version_reported(version, tmp_path):
    from data import pirate, splits
    from data.conversation import digest

    run = runs.start("pirate", tmp_path)
    run.params({"dataset": "tiny", "test_dataset": "''"})  # as mlflow run logs an empty one
    test = splits.validation_and_test(pirate.test_rows())[1]
    sides = models.find(version)
    made = versions.Version("pirate", 1, run.run_id, "", {"test_digest": digest(test)}, ())
    assert judged.reported_rows(models.Sides(made, sides.base, sides.tuned)) == test
    changed = versions.Version("pirate", 1, run.run_id, "", {"test_digest": "other"}, ())
    with pytest.raises(UserError, match="are not what they were"):
        judged.reported_rows(models.Sides(changed, sides.base, sides.tuned))


def test_without_prompts_a_key_or_a_judge_there_is_one_line(version, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="judge=openai:gpt-4o: set OPENAI_API_KEY"):
        evaluate([f"--version={version}", "--judge=openai:gpt-4o"])
    with pytest.raises(UserError, match="has no run that names held-out prompts; give a file"):
        evaluate([f"--version={version}", f"--judge={version}"])
    with pytest.raises(UserError, match="no version pirate/9"):
        evaluate([f"--version={version}", "--judge=pirate/9"])


def test_a_judge_whose_replies_can_not_be_read_is_an_error(version, prompts, fake_openai):
    fake_openai(says=lambda model, text: ("I can't say.", 0.5))
    with pytest.raises(UserError, match="none of its replies is one of the letters"):
        evaluate([f"--version={version}", "--judge=openai:m", f"--test_dataset={prompts}", "--max_new_tokens=4"])
