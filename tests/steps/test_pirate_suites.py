"""Retention suites in a run: metrics with changes and intervals, the table on screen, the card, tags and the report."""

import contextlib
import io
import json
import re

import pytest
from mlflow.tracking import MlflowClient

from registry import evaluation_run, versions
from steps.cli import main
from steps.pirate import pirate


def run_and_print(flags):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        pirate(flags)
    client = MlflowClient()
    [run] = evaluation_run.with_scores(client.search_runs([each.experiment_id for each in client.search_experiments()]))
    return run, printed.getvalue(), client.download_artifacts(run.info.run_id, "")


@pytest.mark.usefixtures("store")
def test_named_suites_are_measured_on_base_and_tuned_model_and_reach_screen_card_and_tags(quick):
    run, printed, folder = run_and_print(quick(epochs=1, suites="everyday,spread"))
    for name in ("everyday/perplexity", "spread/lexicon_rate"):
        keys = {f"base/{name}", f"test/{name}", f"change/{name}", f"change/{name}_low", f"change/{name}_high"}
        assert keys <= run.data.metrics.keys()
    assert run.data.params["suites"] == "everyday,spread"
    assert "retention suites" in printed and re.search(r"\n +perplexity of plain texts +120 ", printed)
    assert re.search(r"\n +trained style in answers to unrelated prompts +60 ", printed)
    effects = run.data.tags["side_effects"]
    assert f"Effects   {effects}" in printed and versions.resolve("pirate/1").tags["side_effects"] == effects
    with open(f"{folder}/model_card.md") as card, open(f"{folder}/eval_results.json") as results:
        assert f"**Side effects:** {effects}." in card.read()
        found = json.load(results)
    assert isinstance(found["side_effects"], list) and found["changes"]["spread/lexicon_rate"]["n"] == 60


@pytest.mark.usefixtures("store")
def test_auto_measures_nothing_beside_on_the_small_base_and_says_nothing_of_side_effects(quick):
    run, printed, folder = run_and_print(quick(epochs=1))
    assert "Effects" not in printed and not any("facts/" in key for key in run.data.metrics)
    assert run.data.tags["side_effects"] == "not measured"


@pytest.mark.usefixtures("store")
def test_a_suite_that_is_not_there_is_one_line_before_training(quick, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["pirate", *quick(suites="fact")])
    with pytest.raises(SystemExit) as ended:
        main(pirate)
    assert ended.value.code == 1
    assert "suites=fact: there is no such suite" in capsys.readouterr().err
