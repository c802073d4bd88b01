"""A metric, a kind of corruption and a suite that are defined here alone reach metrics, report, card, tags and page."""

import contextlib
import io
import json
import re

import pytest
from mlflow.tracking import MlflowClient

from data import pirate as pirate_rows
from data.corruption import CORRUPTIONS, Corruption
from demo.version_cache import VersionCache
from evals.metric import Metric
from evals.metrics import METRICS
from evals.suites.suite import HeldOut, Suite, Values
from evals.suites.table import SUITES
from recipes.studies import noise_plots, noise_report
from recipes.studies.config import StudyConfig
from registry import evaluation_run, versions
from steps.noisy import noisy
from steps.pirate import pirate

WORDS = Metric(
    "mean_words", ("answers",), lambda data: sum(len(text.split()) for text in data.answers) / len(data.answers),
    "Mean number of words in an answer.", None, (0.0, float("inf")), "words", format=".1f", rank=0, headline=True,
)  # fmt: skip
RECALL = Metric(
    "least_recall", ("labels",), lambda report: min(each.recall or 0.0 for each in report.classes),
    "The lower of both labels' recall.", True, label="least recall", rank=0, headline=True, study="plot",
)  # fmt: skip


def short(held_out: HeldOut) -> Suite:
    """Ten held-out prompts; a point for each answer of at most five words."""
    rows = list(pirate_rows.test_rows()[:10])
    return Suite("short", rows, "generate", lambda items, outputs: Values({"share": share_short(outputs)}))


def share_short(answers):
    return sum(len(text.split()) <= 5 for text in answers) / len(answers)


def texts(client, run, *names):
    """Artifacts of a run as one text each."""
    folder = client.download_artifacts(run.info.run_id, "")
    for name in names:
        with open(f"{folder}/{name}") as file:
            yield file.read()


def only_run(client):
    [run] = evaluation_run.with_scores(client.search_runs([each.experiment_id for each in client.search_experiments()]))
    return run


@pytest.mark.usefixtures("store")
def test_a_metric_and_a_suite_reach_a_fine_tuning_runs_metrics_report_card_and_page(quick, monkeypatch):
    monkeypatch.setitem(METRICS, WORDS.name, WORDS)
    monkeypatch.setitem(SUITES, "short", short)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        pirate(quick(epochs=1))
    client = MlflowClient()
    run = only_run(client)
    added = {"mean_words", "short/share"}
    assert {f"{side}/{name}" for side in ("base", "test") for name in added} <= run.data.metrics.keys()
    assert re.search(r"^ {10}words ", printed.getvalue(), re.MULTILINE)
    results, page, card = texts(client, run, "eval_results.json", "eval_results.md", "model_card.md")
    assert added <= json.loads(results)["tuned"].keys()
    assert all(f"| {name} | " in text for name in added for text in (page, card))
    cache = VersionCache()
    [entry] = cache.refresh()
    assert entry.headline.startswith("words ")
    details, _ = cache.details("pirate/1")
    assert details.scores[0].label == "words" and "short/share" in {score.label for score in details.scores}
    share = run.data.metrics["test/short/share"]
    assert float(versions.resolve("pirate/1").tags["test/short/share"]) == pytest.approx(share, abs=1e-4)


@pytest.mark.usefixtures("store")
def test_a_kind_of_corruption_and_a_metric_of_labels_reach_a_noisy_runs_metrics_report_card_and_page(monkeypatch):
    last_letter = Corruption("the share of rows, by their last letter", rank=lambda row: float(ord(row.text[-1])))
    monkeypatch.setitem(CORRUPTIONS, "last_letter", last_letter)
    monkeypatch.setitem(METRICS, RECALL.name, RECALL)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        noisy(["--learner=tfidf", "--n_train=240", "--n_test=100", "--kind=last_letter", "--rate=0.2", "--folds=1"])
    client = MlflowClient()
    run = only_run(client)
    assert {"base/least_recall", "test/least_recall"} <= run.data.metrics.keys()
    assert "least recall" in printed.getvalue() and "made wrong (last_letter, rate 0.2" in printed.getvalue()
    report, card = texts(client, run, "eval_results.md", "model_card.md")
    assert "last_letter noise at 0.2" in report and "| least_recall | " in report
    assert "last_letter noise at 0.2" in card and "| least recall | " in card
    cache = VersionCache()
    [entry] = cache.refresh()
    assert entry.headline.startswith("least recall ")
    details, _ = cache.details("noisy/1")
    assert details.scores[0].label == "least recall" and "last_letter" in details.card


def test_a_study_accepts_the_kind_and_plots_and_tabulates_the_metric(monkeypatch):
    monkeypatch.setitem(CORRUPTIONS, "last_letter", Corruption("", rank=lambda row: 0.0))
    monkeypatch.setitem(METRICS, RECALL.name, RECALL)
    assert StudyConfig(kinds="last_letter").all("kinds") == ["last_letter"]
    assert "least recall" in {each.title for each in noise_plots.subplots()}
    cells = [{"learner": "tfidf", "kind": "last_letter", "rate": 0.2, "seed": 1, "verdict": "healthy", "rows": "a"}]
    text = noise_report.page(StudyConfig(kinds="last_letter"), [{**each, "least_recall": 0.5} for each in cells], 0)
    assert "| least recall |" in text and "0.500" in text
