"""The noisy-labels recipe, end to end: what it stores and what it prints."""

import contextlib
import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from data.conversation import Row
from data.corruption import Noise, corrupt
from data.errors import UserError
from data.formats import reviews
from data.prompts import qa_chat_template
from evals import metrics
from recipes.noisy_labels.config import NoisyConfig
from registry import evaluation_run, references, tfidf_versions, version_details, version_metrics, versions
from registry.versions import Version
from steps.cli import OUTPUTS
from steps.noisy import noisy
from tests.paired_metrics import without_interval
from train import base_model

QUICK = {"n_train": 240, "n_test": 100, "rate": 0.2, "learner": "tfidf"}
LORA = {
    "n_train": 60,
    "n_test": 20,
    "learner": "lora",
    "epochs": 2,
    "batch_size": 8,
    "threads": 1,
    "precision": "fp32",
    "max_length": 128,
}


def flags(**settings: Any) -> list[str]:
    return [f"--{name}={value}" for name, value in {**QUICK, **settings}.items()]


def all_runs(client: MlflowClient) -> list[Run]:
    return evaluation_run.with_scores(client.search_runs([each.experiment_id for each in client.search_experiments()]))


@dataclass(frozen=True)
class Done:
    """A finished job: its run, its version, and what was printed."""

    client: MlflowClient
    run: Run
    version: Version
    printed: str
    folder: Path

    def artifact(self, name: str) -> Path:
        return Path(self.client.download_artifacts(self.run.info.run_id, name))

    def table(self, name: str) -> Any:
        found = json.loads(self.artifact(name).read_text())
        return pd.DataFrame(found["data"], columns=found["columns"])


def do(argv: list[str], settle: Callable, folder: Path, patch: pytest.MonkeyPatch) -> Done:
    client = MlflowClient(settle(folder, patch))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        noisy(argv)
    [run] = all_runs(client)
    return Done(client, run, versions.resolve("noisy/1"), printed.getvalue(), folder)


@pytest.fixture(scope="module")
def tfidf(settle, tmp_path_factory):
    """TF-IDF, in this process and a store of its own."""
    with pytest.MonkeyPatch.context() as patch:
        yield do(flags(), settle, tmp_path_factory.mktemp("tfidf"), patch)


@pytest.fixture(scope="module")
def lora(settle, tiny_base, tmp_path_factory):
    """A tiny model and an adapter."""
    with pytest.MonkeyPatch.context() as patch:
        yield do(flags(base_model=tiny_base, **LORA), settle, tmp_path_factory.mktemp("lora"), patch)


def test_one_finished_run_and_one_version_are_all_there_is(tfidf):
    assert tfidf.run.info.status == "FINISHED"
    assert [version.number for version in versions.versions("noisy")] == [1]
    assert tfidf.version.run_id == tfidf.run.info.run_id
    assert not (OUTPUTS / tfidf.run.info.run_id).exists()


def test_the_box_shows_the_label_shares_that_a_tfidf_version_starts_from_beside_its_own_probabilities(tfidf):
    from demo.classifier_box import label
    from demo.view.classifier import labels

    base, tuned = label("I loved this wonderful film", ("noisy/1:base", "noisy/1"))
    trained = [json.loads(line) for line in tfidf.artifact("data/train.jsonl").read_text().splitlines()]
    share = sum(row["messages"][-1]["content"] == "positive" for row in trained) / len(trained)
    assert dict(base.labels)["positive"] == pytest.approx(share) and sum(p for _, p in base.labels) == pytest.approx(1)
    assert {*dict(tuned.labels)} == {"positive", "negative"} and tuned.labels != base.labels
    shown = str(labels([base, tuned]))
    assert "base: label shares" in shown and "noisy/1 starts from no model" in shown
    notes = version_details.details_of(tfidf.version).notes
    assert [note for note in notes if "curve" in note or "checkpoint" in note] == [version_details.FITTED_AT_ONCE]


def test_every_setting_is_a_param(tfidf, lora):
    for done, learner in ((tfidf, "tfidf"), (lora, "lora")):
        assert {field.name for field in fields(NoisyConfig)} - {"resume"} <= done.run.data.params.keys()
        params = done.run.data.params
        assert (params["learner"], params["kind"], params["rate"]) == (learner, "symmetric", "0.2")


def test_the_mask_and_the_training_rows_agree_to_the_row(tfidf):
    mask = [json.loads(line) for line in tfidf.artifact("data/flip_mask.jsonl").read_text().splitlines()]
    trained = [json.loads(line) for line in tfidf.artifact("data/train.jsonl").read_text().splitlines()]
    train, _ = reviews.bundled()
    known = {row.id: row for row in train}
    flipped = [line for line in mask if line["original"] != line["given"]]
    assert len(mask) == len(trained) == 240 and 24 < len(flipped) < 72
    assert all(line["original"] == known[line["id"]].label for line in mask)
    wanted = {known[line["id"]].text: ("negative", "positive")[line["given"]] for line in mask}
    found = {m["messages"][1]["content"]: m["messages"][2]["content"] for m in trained}
    assert found == {f"Review: {text} Sentiment:": label for text, label in wanted.items()}
    whole = corrupt(train, Noise(rate=0.2))
    hit = {row.id for row, was in zip(whole.rows, whole.flipped, strict=True) if was}
    assert {line["id"] for line in flipped} == hit & {line["id"] for line in mask}


def test_the_data_sets_are_inputs_of_the_run(tfidf):
    inputs = {each.tags[0].value: each.dataset for each in tfidf.run.inputs.dataset_inputs}
    assert inputs.keys() == {"clean", "training", "testing", "mask"}
    assert inputs["training"].digest == tfidf.version.tags["dataset_digest"] != inputs["clean"].digest
    assert inputs["mask"].digest == tfidf.version.tags["mask_sha256"][:16]


def test_base_and_tuned_are_evaluated_by_the_same_metrics_on_the_same_rows(tfidf, lora):
    for done in (tfidf, lora):
        metrics = done.run.data.metrics
        assert {"accuracy", "ece", "brier", "auc", "invalid_rate", "error_rate", "accuracy_low"} <= {
            key.partition("/")[2] for key in metrics if key.startswith("test/")
        }
        assert metrics["base/n"] == metrics["test/n"] == metrics["mcnemar/n"]


def test_the_base_of_tfidf_predicts_one_label_and_a_warning_names_it(tfidf):
    metrics = tfidf.run.data.metrics
    assert (metrics["base/accuracy"], metrics["base/auc"]) == (0.5, 0.5)
    assert re.search(r"\n  accuracy +100 +0\.\d+ \(", tfidf.printed)  # n, and the base's value
    assert "base: predicts" in tfidf.printed and "for 100 % of rows" in tfidf.printed


def test_a_random_base_answers_no_label_and_that_is_no_class(lora):
    metrics = lora.run.data.metrics
    assert metrics["base/invalid_rate"] == 1.0 and metrics["base/accuracy"] == 0.0
    assert "base/answered_accuracy" not in metrics, "undefined where no row is answered"
    assert 0 <= metrics["base/auc"] <= 1, "label probabilities are known all the same"
    assert "most answers are invalid" in lora.printed


def test_a_base_without_valid_answers_is_compared_by_likelihood_and_every_metric_has_its_change(lora, tfidf):
    found, results = lora.run.data.metrics, json.loads(lora.artifact("eval_results.json").read_text())
    assert found["mcnemar_likelihood/n"] == found["base/n_probabilities"] == 20
    assert results["mcnemar_likelihood"]["gain"] == pytest.approx(
        found["test/likelihood_accuracy"] - found["base/likelihood_accuracy"]
    )
    assert lora.run.data.tags["verdict"] != "healthy", "20 rows with a fifth of wrong labels show no knowledge"
    if lora.run.data.tags["verdict"] in ("worse", "not_better"):
        assert "likelihood accuracy" in lora.run.data.tags["verdict_reasons"]
    assert "McNemar by likelihood: " in lora.printed and "change of accuracy" in lora.printed
    card = tfidf.artifact("model_card.md").read_text()
    for name in ("likelihood_accuracy", "auc", "ece", "brier", "f1_macro", "recall_positive", "invalid_rate"):
        assert f"change/{name}" in tfidf.run.data.metrics
    for each in (lora, tfidf):
        assert without_interval(each.run.data.metrics) == {"n", "n_probabilities", "ece_if_calibrated"}
    assert all(label in card for label in ("likelihood accuracy", "ECE, equal width", "answered accuracy"))


def test_pruning_is_by_the_known_number_of_wrong_labels_and_by_the_estimated_one(tfidf):
    found = tfidf.run.data.metrics
    flipped = round(found["detection/flipped_share"] * 240)
    assert (found["pruning/dropped"], found["pruning_by_estimate/dropped"]) == (
        flipped, found["detection/estimated_flips"],
    )  # fmt: skip
    assert "labels are estimated to be wrong" in tfidf.printed and "are estimated to be flipped" in tfidf.printed


def test_training_rows_are_scored_over_the_checkpoints(tfidf, lora):
    history = lora.client.get_metric_history(lora.run.info.run_id, "curve/memorised_share")
    assert [point.step for point in history] == [0, 7, 14]
    assert "detection/out_of_fold_auroc" not in lora.run.data.metrics and "folds=5" in lora.printed
    metrics = tfidf.run.data.metrics
    assert {"train/accuracy_true", "train/accuracy_given", "train/memorised_share"} <= metrics.keys()
    assert {"detection/in_sample_auroc", "detection/out_of_fold_auprc", "pruning/gain"} <= metrics.keys()
    assert metrics["detection/out_of_fold_auroc"] > 0.55


def test_plots_tables_and_pages_are_stored(tfidf):
    for name in ("reliability_base", "reliability_tuned", "confusion"):
        assert tfidf.artifact(f"plots/{name}.png").read_bytes().startswith(b"\x89PNG")
        assert tfidf.artifact(f"plots/{name}.txt").read_text()
    with tfidf.artifact("plots/confusion.csv").open() as lines:
        assert sum(int(row["invalid"]) for row in csv.DictReader(lines)) == 0
    assert len(tfidf.table("eval_table.json")) == 100
    wrong = tfidf.table("confident_mistakes.json")
    sure = [float(value) for value in wrong["confidence"]]
    assert sure == sorted(sure, reverse=True) and all(wrong["true"] != wrong["answered"])
    assert {"label", "length", "rating"} <= set(tfidf.table("mistakes_by_group.json")["grouping"])
    suspects = tfidf.table("suspect_rows.json")
    assert len(suspects) == 50 and sum(suspects["flipped"] == "True") > 10
    results = json.loads(tfidf.artifact("eval_results.json").read_text())
    assert results["tuned"]["accuracy"] == tfidf.run.data.metrics["test/accuracy"]
    assert results["corruption"]["flipped"] == int(tfidf.run.data.tags["flipped"])


def test_the_card_shows_base_and_tuned_with_their_intervals(tfidf):
    card = tfidf.artifact("model_card.md").read_text()
    metrics = tfidf.run.data.metrics
    interval = f"({metrics['test/accuracy_low']:.3f} to {metrics['test/accuracy_high']:.3f})"
    assert "| 100 held-out rows, true labels | base | tuned | change, 95 % interval |\n| --- | ---: | ---: |" in card
    accuracy = f"| {metrics['test/accuracy']:.3f} {interval} | +"
    assert any(accuracy in line and line.endswith(") |") for line in card.splitlines())
    assert f"- run: {tfidf.run.info.run_id}" in card and "- learner: tfidf" in card


def test_the_version_shows_accuracy_and_auc_first(tfidf, lora):
    for done, kind in ((tfidf, "tfidf"), (lora, "lora")):
        tags = done.version.tags
        assert tags["kind"] == kind and tags["verdict"] == done.run.data.tags["verdict"]
        scores = version_metrics.scores_of(tags, metrics.short_labels())
        assert version_metrics.headline(scores).startswith("accuracy 0.")
        assert float(tags["test/accuracy"]) == pytest.approx(done.run.data.metrics["test/accuracy"], abs=1e-4)


def test_a_tfidf_version_loads_without_this_project_and_without_pickle(tfidf):
    script = (
        "import json, sys, mlflow; m = mlflow.pyfunc.load_model('models:/noisy/1');"
        "texts = json.loads(sys.argv[1]);"
        "out = m.predict(texts), m.predict(texts, params={'probability': True});"
        "assert not {'sklearn', 'train', 'torch'} & set(sys.modules), 'more than numpy was needed';"
        "print(json.dumps(out))"
    )
    table = tfidf.table("eval_table.json")
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    env["MLFLOW_TRACKING_URI"] = f"sqlite:///{tfidf.folder / 'mlflow.db'}"
    command = [sys.executable, "-c", script, json.dumps(table["text"].tolist())]
    done = subprocess.run(command, cwd=tfidf.folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    labels, p = json.loads(done.stdout.splitlines()[-1])
    assert labels == table["tuned"].tolist()
    assert [float(each) for each in p] == pytest.approx([float(each) for each in table["tuned_p"]], abs=1e-9)
    kept = [path.name for path in Path(tfidf.folder, "mlruns").rglob("*") if path.is_file()]
    assert "weights.safetensors" in kept and not [name for name in kept if name.endswith((".pkl", ".joblib"))]


def test_a_reloaded_model_that_differs_is_not_registered_and_the_run_can_go_on(store, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(UserError, match="nothing was registered"):
        patch.setattr(tfidf_versions, "TOLERANCE", -1.0)
        noisy(flags(n_train=100, n_test=40))
    client = MlflowClient(store)
    [run] = all_runs(client)
    assert run.info.status == "FAILED" and client.search_registered_models() == []
    noisy([f"--resume={run.info.run_id}"])
    assert [each.info.status for each in all_runs(client)] == ["FINISHED"]
    assert versions.resolve("noisy/1").run_id == run.info.run_id


def test_questions_in_the_qa_form_keep_their_examples_with_the_version(settle, tiny_base, tmp_path, monkeypatch):
    asked = [
        {"question": f"What is {i} and one?", "best": f"It is {i + 1}.", "incorrect": ["No.", f"It is {i}."]}
        for i in range(40)
    ]
    own, shots = tmp_path / "asked.jsonl", tmp_path / "shots.jsonl"
    own.write_text("".join(json.dumps(each) + "\n" for each in asked))
    shots.write_text(json.dumps({"prompt": "Where be it?", "response": "Here."}) + "\n")
    settings = {**LORA, "n_train": 24, "n_test": 8, "epochs": 1, "kind": "best_swapped", "template": "qa"}
    done = do(flags(base_model=tiny_base, dataset=own, shots=shots, **settings), settle, tmp_path, monkeypatch)
    assert {"base/mc1", "test/mc1", "base/mc2", "test/mc2"} <= done.run.data.metrics.keys()
    assert done.version.tags["template"] == "qa"
    source = references.find("noisy/1", lambda name: base_model.resolve(name).folder)
    assert source.template == qa_chat_template([Row((("Where be it?", "Here."),))])
