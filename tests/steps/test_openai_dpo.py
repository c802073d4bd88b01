"""Training on preferences at an OpenAI-compatible API, end to end: checked, priced, submitted once, registered."""

import contextlib
import io
import json
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from data.errors import DataError
from data.formats import preferences as formats
from recipes.api_job import ApiJob
from registry import evaluation_run, versions
from steps.dpo import dpo
from tests.fake_openai import at_hand
from tests.steps.test_dpo import preferences, write_rows

STEPS = {"steps": 9, "steps_a_look": 9}


def says(model, text):
    return ("Yes." if model.startswith("ft:") else "No, I am afraid that it is far away from there."), 0.5


def flags(rows, **given):
    given = {"provider": "openai", "dataset": rows, "slots": 8, "max_new_tokens": 16, **given}
    return [f"--{name}={value}" for name, value in given.items()]


@pytest.fixture(scope="module")
def done(settle, tmp_path_factory):
    """A job that an interrupted run began and a resumed one ended."""
    folder = tmp_path_factory.mktemp("dpo-api")
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        client = MlflowClient(settle(folder, patch))
        patch.setattr("openai_jobs.monitor.SHORTEST_S", 0.01)
        patch.setattr("openai_jobs.exactly_once.SETTLE_S", (0.01, 0.01))
        fake = stack.enter_context(at_hand(patch, says=says, **STEPS))
        rows = write_rows(folder / "pairs.jsonl", preferences(24))
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            with pytest.MonkeyPatch.context() as stopping, pytest.raises(KeyboardInterrupt):
                stopping.setattr(ApiJob, "follow", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
                dpo(flags(rows))
            [run] = client.search_runs(["1"])
            dpo([f"--resume={run.info.run_id}"])
        yield client, fake, rows, client.get_run(run.info.run_id), printed.getvalue()


def test_the_job_is_submitted_once_with_the_method_dpo_and_openais_form_of_preferences(done):
    _, fake, _, _, _ = done
    [job] = fake.jobs.values()
    auto = {"n_epochs": "auto", "batch_size": "auto", "learning_rate_multiplier": "auto"}
    assert job["asked"]["method"] == {"type": "dpo", "dpo": {"hyperparameters": {**auto, "beta": 0.1}}}
    assert sum(file["purpose"] == "fine-tune" for file in fake.files.values()) == 2
    lines = [json.loads(line) for line in fake.contents[job["training_file"]].splitlines() if line.strip()]
    assert lines[0].keys() == {"input", "preferred_output", "non_preferred_output"}
    assert lines[0]["input"]["messages"][-1]["role"] == "user"
    assert formats.check([])[0] == [] and len(lines) >= 10


def test_both_models_answer_the_same_prompts_and_the_version_says_what_changed(done):
    client, fake, _, run, printed = done
    [version] = versions.versions("dpo")
    assert version.tags["kind"] == "openai" and version.tags["openai_id"] == fake.jobs["ftjob-1"]["fine_tuned_model"]
    assert version.run_id == run.info.run_id and version.tags["dataset_digest"] == run.data.tags["dataset_digest"]
    assert "train/loss" in run.data.metrics and "test/answer_words" not in run.data.metrics
    metrics = evaluation_run.read(run.info.run_id).data.metrics
    assert (metrics["base/answer_words"], metrics["test/answer_words"]) == (11.0, 1.0)
    assert metrics["test/rouge1_recall"] == 1.0 and metrics["change/answer_words"] == -10.0
    assert "test/reward_accuracy" not in metrics and "test/loss" not in metrics
    assert set(fake.answered.values()) == {1}  # nothing that was paid is sent again
    assert "Version   dpo/1" in printed and "words per answer" in printed
    files = {each.path for each in client.list_artifacts(run.info.run_id)}
    assert {"eval_results.json", "eval_table.json", "claims.yaml", "model_card.md"} <= files


def test_a_dry_run_and_a_budget_below_the_estimate_send_nothing(done, tmp_path):
    client, fake, rows, _, _ = done
    before = len(fake.requests)
    dpo(flags(rows, dry_run="true", register_as="none"))
    with pytest.raises(DataError, match=r"budget_usd=1e-06: the job is estimated at .* USD; nothing was sent"):
        dpo(flags(rows, budget_usd=1e-6, register_as="none"))
    with pytest.raises(DataError, match="pairs are too few; OpenAI trains on 10"):
        few, held_out = (write_rows(tmp_path / f"{i}.jsonl", preferences(24)[i : i + 9]) for i in (0, 15))
        dpo(flags(few, test_dataset=held_out, register_as="none"))
    assert len(fake.requests) == before and versions.versions("none") == []
    dry = next(run for run in client.search_runs(["1"]) if run.data.tags.get("dry_run"))
    page = Path(client.download_artifacts(dry.info.run_id, "dry_run.md")).read_text()
    assert '"type": "dpo"' in page and "USD" in page
