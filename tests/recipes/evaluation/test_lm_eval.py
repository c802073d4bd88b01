"""Tasks of lm-eval run on base and version in this process, and the two are compared item by item."""

import contextlib
import io
import json
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from data.errors import UserError
from recipes.evaluation import lm_eval_tasks, models
from steps.evaluate import evaluate

pytest.importorskip("lm_eval", reason="requirements-eval.txt is optional")


@pytest.fixture(scope="module")
def shown(version, task_file):
    """The lines that an evaluation of all ten questions prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        evaluate([f"--version={version}", f"--suite=lm_eval:{task_file}", "--threads=1"])
    return out.getvalue()


def the_run():
    client = MlflowClient()
    experiment = client.get_experiment_by_name("parley")
    return client.search_runs([experiment.experiment_id], "tags.entry = 'evaluate'")[0]


def test_the_table_has_both_values_and_the_paired_change_of_every_metric(shown):
    lines = shown.splitlines()
    table = [line.split() for line in lines if line.startswith("small_facts/")]
    assert [row[0] for row in table] == ["small_facts/acc", "small_facts/acc_norm"]
    assert all(row[1] == "10" and row[-2] == "to" for row in table), shown


def test_the_results_are_in_a_run_of_their_own_and_in_the_tags_of_the_version(shown, version):
    run = the_run()
    values = run.data.metrics
    for name in ("acc", "acc_norm"):
        key = f"small_facts/{name}"
        assert values[f"change/{key}"] == pytest.approx(values[f"test/{key}"] - values[f"base/{key}"])
        assert values[f"change/{key}_low"] <= values[f"change/{key}"] <= values[f"change/{key}_high"]
    assert run.data.tags["version"] == version and run.info.status == "FINISHED"
    tags = MlflowClient().get_model_version("pirate", "1").tags
    assert float(tags["test/small_facts/acc"]) == values["test/small_facts/acc"]
    files = {each.path for each in MlflowClient().list_artifacts(run.info.run_id)}
    assert {"evaluation.json", "evaluation.md", "items.json"} <= files


def test_the_items_that_are_kept_add_up_to_the_metrics(shown):
    run = the_run()
    kept = json.loads(Path(MlflowClient().download_artifacts(run.info.run_id, "items.json")).read_text())
    rows = [dict(zip(kept["columns"], row, strict=True)) for row in kept["data"]]
    for side, prefix in (("base", "base"), ("tuned", "test")):
        hits = [float(row[side]) for row in rows if row["metric"] == "small_facts/acc"]
        assert sum(hits) / len(hits) == pytest.approx(run.data.metrics[f"{prefix}/small_facts/acc"])


def test_the_values_are_those_of_lm_eval_itself(version, task_file):
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.models.huggingface import HFLM

    tasks = lm_eval_tasks.Tasks([str(task_file)], limit=4)
    for model, tokenizer in models.each_side(models.find(version)):
        found = tasks.measure(model, tokenizer)
        theirs = simple_evaluate(
            model=HFLM(pretrained=model, tokenizer=tokenizer, batch_size=4),
            tasks=list(tasks.tasks.values()),
            limit=4,
            bootstrap_iters=0,
            task_manager=tasks.manager,
        )["results"]["small_facts"]
        for name in ("acc", "acc_norm"):
            rows = found.items[f"small_facts/{name}"].values()
            assert theirs[f"{name},none"] == pytest.approx(sum(row[0] for row in rows) / len(rows))


def test_the_adapter_is_off_for_the_base_and_on_for_the_version(version, tiny_base):
    import torch

    from inference.loading import load

    plain, tokenizer = load(tiny_base)
    ids = torch.tensor([tokenizer("Where is the boat?")["input_ids"]])
    with torch.no_grad():
        expected = plain(input_ids=ids).logits
        base, tuned = (model(input_ids=ids).logits for model, _ in models.each_side(models.find(version)))
    assert torch.allclose(base, expected, atol=1e-5)
    assert not torch.allclose(tuned, expected, atol=0.1)


@pytest.mark.parametrize(
    ("suite", "reason"),
    [
        ("lm_eval:no_such_task_here", "lm-eval has no task 'no_such_task_here'"),
        ("lm_eval:gone/task.yaml", "there is no file gone/task.yaml"),
    ],
)
def test_a_task_that_is_not_there_is_one_line(version, suite, reason):
    with pytest.raises(UserError, match=reason) as error:
        evaluate([f"--version={version}", f"--suite={suite}"])
    assert "\n" not in str(error.value)


def test_without_lm_eval_one_line_says_how_to_install_it(version, monkeypatch):
    monkeypatch.setattr(lm_eval_tasks, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install -r requirements-eval.txt"):
        evaluate([f"--version={version}", "--suite=lm_eval:arc_easy"])
