"""The main job, end to end: what it leaves in the store, what it prints, and the ways to start it."""

import contextlib
import csv
import io
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, fields
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from safetensors.torch import load_file

from recipes.sft.config import TuneConfig
from registry import evaluation_run, row_statistics, version_details, versions
from registry.checkpoints import checkpoint_folder
from registry.versions import Version
from steps.cli import OUTPUTS
from steps.pirate import pirate
from tests.paired_metrics import without_interval
from tests.processes import ROOT, wait_until

RATES = {"echo_rate", "loop_rate", "stop_rate", "copy_rate", "lexicon_rate"}
SCORES = {"loss", "perplexity", "chrf", "distinct_2", "length_ratio", *RATES}


@dataclass(frozen=True)
class Done:
    """A finished job: its run, its version, and what was printed."""

    method: str
    client: MlflowClient
    run: Run
    version: Version
    printed: str
    folder: Path

    def artifact(self, name: str) -> Path:
        return Path(self.client.download_artifacts(self.run.info.run_id, name))

    def steps(self, key: str) -> list[int]:
        return [point.step for point in self.client.get_metric_history(self.run.info.run_id, key)]


def all_runs(client: MlflowClient) -> list[Run]:
    return evaluation_run.with_scores(client.search_runs([each.experiment_id for each in client.search_experiments()]))


@pytest.fixture(scope="module", params=["lora", "full"])
def done(request, quick, settle, tmp_path_factory):
    """The job done in this process, in a store of its own."""
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        client = MlflowClient(settle(folder, patch))
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            pirate(quick(method=request.param))
        [run] = all_runs(client)
        yield Done(request.param, client, run, versions.resolve("pirate/1"), printed.getvalue(), folder)


def test_one_finished_run_is_all_there_is(done):
    assert done.run.info.status == "FINISHED"
    assert [version.number for version in versions.versions("pirate")] == [1]
    assert done.version.run_id == done.run.info.run_id
    assert not (OUTPUTS / done.run.info.run_id).exists()


def test_every_setting_is_a_param(done, tiny_base):
    params = done.run.data.params
    wanted = {field.name for field in fields(TuneConfig)} - {"resume"}
    assert wanted <= params.keys()
    assert (params["epochs"], params["method"], params["base_model"]) == ("2", done.method, str(tiny_base))


def test_the_curves_begin_before_the_first_step(done):
    assert done.steps("eval/loss") == [0, 3, 6]
    assert done.steps("train/loss") == [1, 2, 3, 4, 5, 6]
    assert done.client.get_metric_history(done.run.info.run_id, "epoch")[-1].value == 2.0


def test_base_and_tuned_model_are_scored_by_the_same_metrics(done):
    metrics = done.run.data.metrics
    sides = [{key.partition("/")[2] for key in metrics if key.startswith(f"{side}/")} for side in ("base", "test")]
    assert sides[0] == sides[1] >= SCORES
    assert all(0 <= metrics[f"test/{rate}"] <= 1 for rate in RATES)
    assert metrics["test/loss"] < metrics["base/loss"]
    assert without_interval(metrics) <= {"prompts_cut", "distinct_2"}, "a count; answers that have no pair of words"
    assert "train_loss" not in row_statistics.load(done.run.info.run_id), "other versions have other training rows"


def test_the_curve_is_kept_as_a_picture_and_as_a_table(done):
    assert done.artifact("loss_curve.png").read_bytes().startswith(b"\x89PNG")
    with done.artifact("loss_curve.csv").open() as lines:
        table = list(csv.DictReader(lines))
    for column, key in (("train_loss", "train/loss"), ("eval_loss", "eval/loss")):
        logged = done.client.get_metric_history(done.run.info.run_id, key)
        written = {int(row["step"]): float(row[column]) for row in table if row[column]}
        assert written == pytest.approx({point.step: point.value for point in logged})


def test_the_evaluation_is_kept_in_three_forms_that_agree(done):
    results = json.loads(done.artifact("eval_results.json").read_text())
    table = done.client.load_table(done.run.info.experiment_id, "eval_table.json")
    assert list(table.columns[:4]) == ["prompt", "reference", "base", "tuned"] and len(table) == 45
    assert results["verdict"] == done.run.data.tags["verdict"] == done.version.tags["verdict"]
    assert results["tuned"]["chrf"] == done.run.data.metrics["test/chrf"]
    assert [row["tuned"] for row in results["rows"]] == list(table["tuned"])
    page = done.artifact("eval_results.md").read_text()
    assert page.startswith(f"# Evaluation: {results['verdict']}") and "chrf" in page


def test_the_masks_are_reported_and_shown(done):
    report = json.loads(done.artifact("mask_report.json").read_text())
    assert (report["rows"], report["truncated_rows"], report["rows_with_eos_trained"]) == (20, 0, 20)
    assert sum(report["trained_tokens_per_row"]) == report["trained_tokens"] < report["tokens"]
    page = done.artifact("mask_sample.html").read_text()
    HTMLParser().feed(page)
    assert 'class="trained"' in page and 'class="seen"' in page


def test_settings_and_environment_are_kept(done):
    kept = json.loads(done.artifact("config.json").read_text())
    assert (kept["seed"], kept["method"]) == (7, done.method) and {"python", "torch", "mlflow"} <= kept.keys()


def test_checkpoints_are_kept_all_of_an_adapter_and_the_ends_of_a_full_model(done):
    names = sorted(entry.path for entry in done.client.list_artifacts(done.run.info.run_id, "checkpoints"))
    best = int(done.run.data.metrics["best_step"])
    steps = {3, 6} if done.method == "lora" else {best, 6}
    assert names == [f"checkpoints/step-{step}" for step in sorted(steps)]
    tags = done.run.data.tags
    assert (tags["best_checkpoint"], tags["last_checkpoint"]) == (f"checkpoints/step-{best}", "checkpoints/step-6")
    kind = "adapter_model.safetensors" if done.method == "lora" else "model.safetensors"
    kept = [load_file(done.artifact(f"{name}/{kind}")) for name in names]
    assert all(any(not one[key].equal(other[key]) for key in one) for one, other in pairwise(kept))


def test_a_version_has_all_its_details(done):
    details = version_details.details_of(done.version, "http://127.0.0.1:5000/")
    assert details.notes == ()
    metrics = done.run.data.metrics
    assert (details.kind, details.verdict) == (done.method, done.run.data.tags["verdict"]) and details.reasons
    assert [step for step, _ in details.train_loss] == [1, 2, 3, 4, 5, 6]
    assert [step for step, _ in details.eval_loss] == [0, 3, 6]
    assert (details.best_step, details.restored_step) == (metrics["best_step"],) * 2
    scores = {score.name: (score.base, score.tuned) for score in details.scores}
    assert scores["chrf"] == pytest.approx((metrics["base/chrf"], metrics["test/chrf"]), abs=1e-4)
    assert details.card.startswith("# pirate") and len(details.prompts) == version_details.MOST_PROMPTS
    assert details.run_url.endswith(f"/#/experiments/{done.run.info.experiment_id}/runs/{done.run.info.run_id}")
    assert details.checkpoints[-1] == 6


def test_the_registered_weights_are_those_of_the_restored_checkpoint(done):
    details = version_details.details_of(done.version)
    [kept] = checkpoint_folder(done.version, details.restored_step or 0).glob("*.safetensors")
    [registered] = done.folder.glob("mlruns/*/models/m-*/artifacts/artifacts/**/*.safetensors")
    assert kept.read_bytes() == registered.read_bytes()


def test_the_data_sets_are_recorded_with_their_digests(done):
    inputs = done.client.get_run(done.run.info.run_id).inputs.dataset_inputs
    found = {given.tags[0].value: given.dataset.digest for given in inputs}
    tags = done.run.data.tags
    assert found == {
        "training": tags["dataset_digest"],
        "validation": tags["validation_digest"],
        "testing": tags["test_digest"],
    }


def test_the_run_tells_its_code_and_its_base(done):
    tags = done.run.data.tags
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    assert tags["git_commit"] == (head.stdout.strip() or "unknown")
    assert tags["git_dirty"] in ("true", "false", "unknown")
    assert len(tags["base_digest"]) == 16 and tags["base_reason"]


def test_the_version_tells_where_it_comes_from(done, tiny_base):
    tags = done.version.tags
    assert {"verdict", "kind", "base_model", "base_digest", "dataset_digest", "git_commit", "test/chrf"} <= tags.keys()
    assert (tags["kind"], tags["base_model"]) == (done.method, str(tiny_base))
    same = ("base_digest", "dataset_digest", "test_digest", "git_commit")
    assert all(tags[key] == done.run.data.tags[key] for key in same)


def test_the_versions_description_is_its_card(done):
    described = done.client.get_model_version("pirate", "1").description
    assert described == done.artifact("model_card.md").read_text()
    for fact in (done.run.info.run_id, done.version.tags["dataset_digest"], done.version.tags["verdict"], "chrf"):
        assert fact in described


def test_the_report_ends_with_the_version_and_the_next_commands(done):
    last = [line for line in done.printed.splitlines() if line.strip()][-4:]
    assert last[0].startswith("Version   pirate/1") and "champion" in last[0]
    assert last[1].startswith("Report    ") and last[1].endswith("report.html")
    assert "make ui" in last[2] and "make demo" in last[3]
    assert "trained tokens" in done.printed and "prompt  " in done.printed and "tuned   " in done.printed


def test_all_charts_that_mlflow_shows_first_are_curves(done):
    found = done.run.data.metrics
    first = [name for name in found if name.startswith(("eval/", "train/"))]
    assert {"eval/loss", "train/loss"} <= set(first)
    assert all(len(done.client.get_metric_history(done.run.info.run_id, name)) > 1 for name in first)


def test_an_unhealthy_version_is_registered_but_no_champion(done):
    assert done.version.tags["verdict"] != "healthy"
    assert versions.find_alias("pirate", "champion") is None


def test_the_same_seed_gives_equal_weights_and_another_seed_others(quick, store):
    for seed in (7, 7, 8):
        pirate(quick(seed=seed, epochs=1, dropout=0.1))
    client = MlflowClient(store)
    weights = [_last_weights(client, version) for version in reversed(versions.versions("pirate"))]
    same, other = (all(first.equal(second) for first, second in zip(weights[0], w, strict=True)) for w in weights[1:])
    assert same and not other


def _last_weights(client: MlflowClient, version: Version) -> list[Any]:
    last = client.get_run(version.run_id).data.tags["last_checkpoint"]
    file = Path(client.download_artifacts(version.run_id, last)) / "adapter_model.safetensors"
    return [tensor for _, tensor in sorted(load_file(file).items())]


def test_users_own_rows_are_split_trained_and_reported(quick, store, tmp_path, capsys):
    rows = [{"prompt": f"Say number {i}.", "response": f"Aye, {i}, arr!"} for i in range(24)]
    (tmp_path / "own.json").write_text(json.dumps(rows))
    pirate(quick(dataset=tmp_path / "own.json", epochs=1, register_as="own"))
    assert "a fifth of the rows" in capsys.readouterr().out
    assert versions.resolve("own/1").tags["kind"] == "lora"


def _mlflow_run(folder: Path, store: str, settings: dict[str, Any]) -> "subprocess.Popen[str]":
    params = [word for name, value in settings.items() for word in ("-P", f"{name}={value}")]
    bin_folder = Path(sys.executable).parent
    path = f"{bin_folder}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "MLFLOW_TRACKING_URI": store, "PARLEY_OUTPUTS": str(folder / "outputs"), "PATH": path}
    command = [str(bin_folder / "mlflow"), "run", str(ROOT), "-e", "pirate", "--env-manager", "local", *params]
    with (folder / "log").open("a") as log:
        return subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True, text=True)


def test_mlflow_run_stopped_and_resumed_leaves_one_run_with_the_params_as_they_were_given(store, tmp_path, tiny_base):
    client, log = MlflowClient(store), tmp_path / "log"
    given = {"dataset": "tiny", "epochs": "12", "lr": "3.0e-3", "max_new_tokens": "8", "threads": "1"}
    first = _mlflow_run(tmp_path, store, {**given, "base_model": tiny_base})
    wait_until(lambda: list(tmp_path.glob("outputs/*/latest.json")) or first.poll() is not None, "a resume point")
    os.killpg(first.pid, signal.SIGINT)  # as a terminal does: mlflow and the step both get it
    wait_until(lambda: first.poll() is not None, "the end of mlflow run", pause_s=0.1)
    wait_until(lambda: len(all_runs(client)) == 1, "the removal of the run that mlflow made in Default", pause_s=0.1)
    [run] = all_runs(client)
    wait_until(lambda: client.get_run(run.info.run_id).info.status == "KILLED", "the status KILLED", pause_s=0.1)
    assert f"Stopped. To continue: mlflow run . -e pirate -P resume={run.info.run_id}" in log.read_text()

    again = _mlflow_run(tmp_path, store, {"resume": run.info.run_id})
    wait_until(lambda: again.poll() is not None, "the end of mlflow run", pause_s=0.1)
    assert again.returncode == 0, log.read_text()
    wait_until(lambda: len(all_runs(client)) == 1, "the removal of the second run", pause_s=0.1)
    [run] = all_runs(client)
    assert run.info.status == "FINISHED"
    assert given.items() <= run.data.params.items()
    assert run.data.params["rank"] == "16"
    assert versions.resolve("pirate/1").run_id == run.info.run_id
    assert "Version   pirate/1" in log.read_text()


@pytest.mark.parametrize("command", ["torchrun", "accelerate"])
def test_two_processes_train_what_one_does(command, quick, store, tmp_path):
    flags = quick(epochs=1, register_as="shared")
    starts = {
        "torchrun": ["torchrun", "--standalone", "--nproc_per_node", "2", "-m", "steps.pirate"],
        "accelerate": ["accelerate", "launch", "--cpu", "--num_processes", "2", "--num_machines", "1"]
        + ["--mixed_precision", "no", "--dynamo_backend", "no", "-m", "steps.pirate"],
    }[command]
    starts[0] = str(Path(sys.executable).with_name(starts[0]))
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PARLEY_OUTPUTS": str(tmp_path / "outputs")}
    with (tmp_path / "log").open("w") as log:
        together = subprocess.Popen([*starts, *flags], env=env, stdout=log, stderr=log, start_new_session=True)
    pirate(flags)
    wait_until(lambda: together.poll() is not None, f"the end of {command}", pause_s=0.1)
    said = (tmp_path / "log").read_text()
    assert together.returncode == 0, said
    assert said.count("Version   shared/") == said.count("Run ") == 1
    client = MlflowClient(store)
    assert [run.info.status for run in all_runs(client)] == ["FINISHED"] * 2
    ours, theirs = (_last_weights(client, version) for version in versions.versions("shared"))
    assert all((a - b).abs().max() < 1e-5 for a, b in zip(ours, theirs, strict=True))
