"""``-e dpo`` end to end: what it leaves in the store, from which version it starts, and that it is resumed exactly."""

import contextlib
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mlflow.tracking import MlflowClient
from safetensors.torch import load_file

from data.errors import ConfigError, DataError, UserError
from recipes.studies import results
from recipes.studies.cell import Task, run_cell
from recipes.studies.config import StudyConfig
from recipes.studies.grid import cells
from recipes.version_rows import rows_of
from registry import evaluation_run, runs, versions
from registry.checkpoints import checkpoint_folder
from registry.references import find, find_base_folder
from registry.resolver import Resolver
from steps.dpo import dpo
from steps.pirate import pirate
from train import base_model

QUICK = {"epochs": 1, "max_new_tokens": 6, "threads": 1, "precision": "fp32", "lr": "1e-3", "batch_size": 4}


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def preferences(n):
    """Pairs whose chosen answer is one word, and whose rejected one is three."""
    nouns = ["cat", "dog", "sun", "sea", "hat", "cup", "key", "bed", "car", "egg", "pen", "map", "ant", "bag", "fox"]
    return [
        {"prompt": f"Is the {a} near the {b}?", "chosen": "Yes.", "rejected": f"No, the {a} is far."}
        for a, b in zip(nouns * 4, nouns[3:] * 4 + nouns, strict=False)
    ][:n]


@pytest.fixture(scope="module")
def done(tiny_base, settle, tmp_path_factory):
    """A pirate version, a DPO run that starts from it, and another one of the base, in a store of their own."""
    folder = tmp_path_factory.mktemp("dpo")
    with pytest.MonkeyPatch.context() as patch:
        client = MlflowClient(settle(folder, patch))
        rows = write_rows(folder / "pairs.jsonl", preferences(24))
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            pirate(flags(base_model=tiny_base, dataset="tiny"))
            dpo(flags(start="pirate/1", dataset=rows, evals_per_epoch=2, rate=0.25))
        yield client, rows, printed.getvalue()


def flags(**given):
    return [f"--{name}={value}" for name, value in {**QUICK, **given}.items()]


def run_of(client, reference):
    return evaluation_run.read(versions.resolve(reference).run_id)


def test_a_version_goes_on_being_trained_and_its_start_is_the_reference(done):
    client, _, printed = done
    tags, run = versions.resolve("dpo/1").tags, run_of(client, "dpo/1")
    assert (tags["kind"], tags["start"]) == ("dpo", "pirate/1")
    assert [run.data.params[name] for name in ("rank", "beta", "sft_weight")] == ["16", "0.1", "1.0"]
    first, margin = (client.get_metric_history(run.info.run_id, f"eval/{n}")[0] for n in ("loss", "reward_margin"))
    assert (margin.step, margin.value) == (0, pytest.approx(0, abs=1e-5))  # the start is its own reference
    assert first.value > np.log(2)  # of equal rewards; beside it is cross-entropy
    assert "dpo/1" in printed and "reward accuracy" in printed
    assert re.search(r"rows +start +tuned", printed) and "Trained   pirate/1 + lora" in printed
    places = [Resolver(lambda base: base_model.resolve(base).folder).place(each) for each in ("pirate/1", "dpo/1")]
    assert places[0].info.base_digest == places[1].info.base_digest
    before, after = (load_file(place.folder / "adapter_model.safetensors") for place in places)
    moved = [float((after[name] - before[name]).abs().max()) for name in before]
    assert before.keys() == after.keys() and 0 < max(moved) < 0.1


def test_curves_metrics_and_files_are_kept(done):
    client, _, _ = done
    run = run_of(client, "dpo/1")
    metrics = run.data.metrics
    for name in ("loss", "reward_accuracy", "reward_margin", "log_probs_chosen", "log_probs_rejected"):
        assert {f"train/{name}", f"eval/{name}"} <= metrics.keys()
    assert metrics["base/reward_accuracy"] == 0.5
    assert {
        "test/reward_accuracy_low",
        "test/answer_words",
        "base/answer_words",
        "change/rouge1_recall",
        "change/train_loss",
    } <= metrics.keys()
    files = {each.path for each in client.list_artifacts(run.info.run_id)}
    assert {"preference_curves.png", "reference_log_probs.npy", "flipped.json", "report.html"} <= files
    page = Path(client.download_artifacts(run.info.run_id, "report.html")).read_text()
    assert '<th scope="col">start</th>' in page and '<th scope="col">base</th>' not in page
    assert versions.resolve("dpo/1").tags["primary"] == "reward_accuracy"
    record = json.loads(Path(client.download_artifacts(run.info.run_id, "report.json")).read_text())
    assert (record["primary"], record["order"]) == ("reward_accuracy", "chrF")  # pairs don't rank single answers
    flipped = json.loads(Path(client.download_artifacts(run.info.run_id, "flipped.json")).read_text())
    assert sum(each["flipped"] for each in flipped) == round(len(flipped) / 4)
    assert run.data.tags["verdict"] == versions.resolve("dpo/1").tags["verdict"]


def test_a_start_whose_weights_are_whole_is_the_base_by_its_own_name(done, tiny_base):
    _, rows, _ = done
    pirate(flags(base_model=tiny_base, dataset="tiny", method="full", register_as="whole"))
    dpo(flags(start="whole/1", dataset=rows, register_as="above"))
    assert versions.resolve("above/1").tags["base_model"] == "models:/whole/1"
    source = find("above/1", lambda name: pytest.fail(f"{name} is no base of its own"))
    moved = replace(source, base_path="/nowhere")
    assert find_base_folder(moved, Path).samefile(find_base_folder(source, Path))


@pytest.mark.parametrize("loss", ["ipo", "orpo", "kto"])
def test_every_loss_trains_from_the_base(done, tiny_base, loss):
    client, rows, _ = done
    dpo(flags(base_model=tiny_base, dataset=rows, loss=loss, sft_weight=0.1, register_as=loss))
    assert run_of(client, f"{loss}/1").data.tags["loss"] == loss
    assert "start" not in versions.resolve(f"{loss}/1").tags


def test_a_run_that_was_stopped_goes_on_to_the_same_weights(done, monkeypatch):
    client, rows, _ = done
    from train import loop

    def stopping(self, order, step, original=loop._Loop._step):
        if step == 4:
            raise KeyboardInterrupt
        return original(self, order, step)

    given = flags(start="pirate/1", dataset=rows, evals_per_epoch=2, rate=0.25, register_as="again")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop._Loop, "_step", stopping)
        dpo(given)
    [stopped] = [each for each in client.search_runs(["1"]) if each.info.status not in ("FINISHED",)]
    dpo([f"--resume={stopped.info.run_id}"])
    for step in (3, 5):
        found = [
            checkpoint_folder(versions.resolve(name), step) / "adapter_model.safetensors"
            for name in ("dpo/1", "again/1")
        ]
        assert found[0].read_bytes() == found[1].read_bytes()


def test_a_cell_of_a_study_of_preferences_is_such_a_run_and_its_metrics_are_read(done, tiny_base, tmp_path):
    _, rows, _ = done
    grid = StudyConfig(grid="preference", losses="dpo:0.1", rates="0.5", seeds="3", base_model=str(tiny_base), epochs=1,
                       lr=1e-3, dataset=str(rows), max_new_tokens=4)  # fmt: skip
    parent = runs.start("study", tmp_path)
    clean, cell = cells(grid)
    result = run_cell(Task(cell, parent.run_id, str(Path.cwd()), str(tmp_path), {}))
    assert not result.error
    assert "left out: 1." in results.record(grid, [clean, cell], parent)
    page = (Path(parent.client.download_artifacts(parent.run_id, "study.md"))).read_text()
    [record] = results.collect([clean, cell], parent.run_id)
    assert (record["loss"], record["rate"]) == ("dpo:0.1", 0.5) and 0 <= record["reward_accuracy"] <= 1
    assert "left out: 1.**" in page and "| dpo:0.1 | 0.5 | 1 |" in page
    assert (parent.folder / "plots" / "preferences_lora.png").is_file()
    parent.finish()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"beta": 0}, "beta must be"),
        ({"sft_weight": -0.5}, "sft_weight must be"),
        ({"loss": "ipo", "label_smoothing": 0.1}, "label_smoothing applies"),
        ({"rate": 2}, "rate is a share"),
        ({"since": "yesterday", "dataset": "votes"}, "since must be a day"),
        ({"versions": "pirate/1"}, "only apply to dataset=votes"),
        ({"start": "pirate/1", "base_model": "bundled"}, "not both"),
        ({"labels": "all"}, "labels=all"),
    ],
)
def test_settings_that_contradict_are_named(given, words):
    with pytest.raises(ConfigError, match=words):
        dpo(flags(**given))


def test_wrong_input_registers_nothing(done, tmp_path):
    _, rows, _ = done
    bad = write_rows(tmp_path / "bad.jsonl", [{"prompt": "a", "chosen": "", "rejected": "b"}, {"prompt": "a"}])
    with pytest.raises(DataError, match="the chosen answer is blank"):
        dpo(flags(dataset=bad, register_as="none"))
    with pytest.raises(DataError, match="0 pairs of 0 votes"):
        dpo(flags(dataset="votes", register_as="none"))
    with pytest.raises(UserError, match="its own rank"):
        dpo(flags(start="pirate/1", dataset=rows, rank=4, register_as="none"))
    with pytest.raises(UserError, match="no version nowhere/1"):
        dpo(flags(start="nowhere/1", dataset=rows, register_as="none"))
    with pytest.raises(UserError, match="is scaled"):
        dpo(flags(start="pirate/1:x0.5", dataset=rows, register_as="none"))
    assert versions.versions("none") == []


def test_the_rows_of_a_version_are_read_again_with_the_same_digests(done):
    client, _, _ = done
    rows = rows_of(run_of(client, "dpo/1").data.params)
    assert rows.digests()["test_digest"] == versions.resolve("dpo/1").tags["test_digest"]
