"""A metric, a kind of corruption and a suite that are defined here alone reach metrics, report, card, tags and page."""

import contextlib
import io
import json

import pytest
from mlflow.tracking import MlflowClient

from data import pirate as pirate_rows
from demo.version_cache import VersionCache
from evals.metrics import METRICS, Metric
from evals.suites.suite import HeldOut, Suite, Values
from evals.suites.table import SUITES
from registry import versions
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
    [run] = client.search_runs([each.experiment_id for each in client.search_experiments()])
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
    assert "Metrics   words " in printed.getvalue()
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
