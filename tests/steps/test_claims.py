"""Claims through a whole run: kept before the first step, quoted at the end, and refused on resume where changed."""

import hashlib
import json
import re
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from data.errors import UserError
from recipes.sft import record
from registry import evaluation_run, versions
from steps.pirate import pirate

CLAIMS = "claims:\n  - chrf: {above: +0}\nkeeps:\n  - loss: {within: 1%}\n"


def runs(client):
    return evaluation_run.with_scores(client.search_runs([each.experiment_id for each in client.search_experiments()]))


def test_claims_are_kept_with_the_run_and_quoted_by_its_verdict(quick, settle, tmp_path, monkeypatch, capsys):
    client = MlflowClient(settle(tmp_path, monkeypatch))
    path = tmp_path / "claims.yaml"
    path.write_text(CLAIMS)
    pirate(quick(claims=path, epochs=1))
    printed = capsys.readouterr().out
    [run] = runs(client)
    assert run.data.params["claims_digest"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert Path(client.download_artifacts(run.info.run_id, "claims.yaml")).read_text() == CLAIMS
    assert "claimed: chrf above +0" in printed and "kept: loss within 1%" in printed
    results = json.loads(Path(client.download_artifacts(run.info.run_id, "eval_results.json")).read_text())
    assert [each["text"] for each in results["claims"]] == ["chrf above +0", "loss within 1%"]
    assert results["claims"][1]["outcome"] == "refuted"
    assert results["reasons"][-1] == run.data.tags["claims"] and "0 of 1 keep confirmed, 1 refuted" in printed
    assert {"claims.png", "claims.csv"} <= {each.path for each in client.list_artifacts(run.info.run_id)}
    assert "no champion yet: it" in printed


def test_an_unknown_metric_ends_the_run_before_training(quick, settle, tmp_path, monkeypatch):
    settle(tmp_path, monkeypatch)
    path = tmp_path / "claims.yaml"
    path.write_text("claims:\n  - bleu: {above: +0}\n")
    with pytest.raises(UserError, match="claims.yaml line 2: no metric 'bleu'"):
        pirate(quick(claims=path))
    assert versions.versions("pirate") == []


def test_seeds_are_runs_under_one_parent_that_reports_them_together(quick, settle, tmp_path, monkeypatch, capsys):
    client = MlflowClient(settle(tmp_path, monkeypatch))
    pirate(quick(seeds="1,2", epochs=1, max_new_tokens=4))
    printed = capsys.readouterr().out
    found = {run.info.run_name: run for run in runs(client)}
    parent = found["tiny lora e1 seeds 1,2"]
    assert {found[f"seed-{n}"].data.tags["mlflow.parentRunId"] for n in (1, 2)} == {parent.info.run_id}
    assert {each.tags["parent_run_id"] for each in versions.versions("pirate")} == {parent.info.run_id}
    chrf = [found[f"seed-{n}"].data.metrics["test/chrf"] for n in (1, 2)]
    assert parent.data.metrics["test/chrf"] == pytest.approx(sum(chrf) / 2)
    assert parent.data.metrics["sd_over_seeds/chrf"] > 0 and "Seeds     1,2 together" in printed
    assert re.search(r"\n +chrF +\d+ +\d+\.\d +\d+\.\d ", printed)  # n, base and tuned
    [place] = re.findall(r"Versions .*\nReport +(\S+)", printed)
    page = Path(client.download_artifacts(parent.info.run_id, Path(place).name)).read_text()
    assert "Seeds 1,2 together" in page and "Before and after" not in page and "chrf above +0" in page
    assert "Note      two seeds say little of how much seeds differ" in printed


def test_a_claims_file_that_changed_since_is_refused_on_resume(quick, settle, tmp_path, monkeypatch):
    client = MlflowClient(settle(tmp_path, monkeypatch))
    path = tmp_path / "claims.yaml"
    path.write_text(CLAIMS)
    with pytest.raises(UserError, match="diverged"):
        pirate(quick(claims=path, epochs=60, method="full", lr=1e30, warmup=0))
    [run] = runs(client)
    path.write_text(CLAIMS.replace("1%", "2%"))
    with pytest.raises(UserError, match=f"resume={run.info.run_id}: the claims changed since the run began"):
        pirate([f"--resume={run.info.run_id}"])
    assert client.get_run(run.info.run_id).info.status == "FAILED" and client.search_registered_models() == []


def test_a_parent_of_seeds_is_resumed_with_the_claims_that_it_began_with(quick, settle, tmp_path, monkeypatch, capsys):
    client = MlflowClient(settle(tmp_path, monkeypatch))
    path = tmp_path / "claims.yaml"
    path.write_text(CLAIMS)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(record, "record_results", killed_with_seed(2, record.record_results))
        pirate(quick(seeds="1,2", epochs=1, max_new_tokens=4, claims=path, stop_on="loss"))
    [parent] = [run.info.run_id for run in runs(client) if run.info.run_name == "tiny lora e1 seeds 1,2"]
    path.write_text(CLAIMS.replace("1%", "2%"))
    with pytest.raises(UserError, match=f"resume={parent}: the claims changed since the run began"):
        pirate([f"--resume={parent}"])
    path.write_text(CLAIMS)
    pirate([f"--resume={parent}"])
    printed = capsys.readouterr().out
    assert "Seed 1 was trained before" in printed and "Seeds     1,2 together" in printed
    assert "is resumed" in printed.partition("Seed 1 was trained before")[2]
    found = {run.info.run_name: run for run in runs(client)}
    assert {run.info.status for run in found.values()} == {"FINISHED"} and len(runs(client)) == 3
    assert len(versions.versions("pirate")) == 2
    assert all("loss" in found[f"seed-{seed}"].data.tags["stop_on"] for seed in (1, 2))


def killed_with_seed(seed, work):
    """``work``, which ends where the job has this seed."""

    def run(job, *rest):
        if job.config.seed == seed:
            raise KeyboardInterrupt
        work(job, *rest)

    return run
