"""Keeps that end a training: a broken checkpoint is not chosen, and a killed run goes on as if nothing had happened."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from data.errors import ConfigError, UserError
from evals.claims_file import Claims
from recipes.sft import stop_on
from recipes.sft.config import TuneConfig
from registry import versions
from steps.pirate import pirate
from tests.steps.test_resume import kept_tensors, runs_of, twice
from train import distributed

#: Training lowers this perplexity by 1.8 % in 4 steps and by 2.6 % in 5.
CLAIMS = "keeps:\n  - everyday/perplexity: {not_below: -2%}\n  - stop_rate: {not_below: -1}\n"
FINE, BROKEN = 4, 5
SETTINGS = {"stop_on": "everyday/perplexity", "suites": "everyday", "evals_per_epoch": 3, "batch_size": 4}


@dataclass(frozen=True)
class Ended:
    """A run that a keep ended."""

    client: MlflowClient
    run: Run
    printed: str

    def text(self, name: str) -> str:
        return Path(self.client.download_artifacts(self.run.info.run_id, name)).read_text()


@pytest.fixture(scope="module")
def train(quick, settle, tmp_path_factory) -> Callable[..., Ended]:
    """Trains in a store of its own; killed at evaluation number ``killed_at`` and then resumed, if it is not 0."""

    def train(capsys: pytest.CaptureFixture[str], killed_at: int = 0) -> Ended:
        folder = tmp_path_factory.mktemp("stop_on")
        (folder / "claims.yaml").write_text(CLAIMS)
        with pytest.MonkeyPatch.context() as patch:
            client = MlflowClient(settle(folder, patch))
            flags = quick(claims=folder / "claims.yaml", **SETTINGS)
            if killed_at:
                with pytest.MonkeyPatch.context() as kill, pytest.raises(KeyboardInterrupt):
                    kill.setattr(stop_on, "_write", killed(stop_on._write, killed_at))
                    pirate(flags)
                [run] = runs_of(client)
                flags = [f"--resume={run.info.run_id}"]
            pirate(flags)
        [run] = runs_of(client)
        return Ended(client, run, capsys.readouterr().out)

    return train


def killed(write: Callable[..., None], at: int) -> Callable[..., None]:
    """``write``, whose call number ``at`` (from 1) ends in the middle of an evaluation."""
    calls = []

    def run(*args):
        write(*args)
        calls.append(args)
        if len(calls) == at:
            raise KeyboardInterrupt

    return run


def test_a_broken_keep_ends_training_and_the_run_is_the_same_where_it_was_killed(train, capsys):
    calm, cut = train(capsys), train(capsys, killed_at=3)
    assert calm.run.data.metrics["best_step"] == FINE
    assert {path.path for path in calm.client.list_artifacts(calm.run.info.run_id, "checkpoints")} >= {
        f"checkpoints/step-{step}" for step in (FINE, BROKEN)
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", calm.client.tracking_uri)
        assert versions.resolve("pirate/1").tags["step"] == str(FINE)
    said = rf"Stop on   training ended at step {BROKEN}: keep everyday/perplexity not_below -2%: .* refuted"
    assert re.search(said, calm.printed) and f"the weights are those of step {FINE}\n" in calm.printed
    assert "the suite spread was not measured" in calm.run.data.tags["stop_on"]
    assert f"training ended at step {BROKEN}" in calm.text("eval_results.md")
    page = json.loads(calm.text("report.json"))
    assert [each["title"] for each in page["figures"]] == ["Training curve", "Side effects by step"]
    assert "everyday/perplexity, 200 items, by step (0: 6" in page["figures"][1]["description"]
    assert f"<figcaption>training ended at step {BROKEN}: " in calm.text("report.html")
    points = calm.client.get_metric_history(calm.run.info.run_id, "eval/everyday/perplexity")
    assert [point.step for point in points] == [0, 2, FINE, BROKEN]

    assert f"Run {cut.run.info.run_id} is resumed" in cut.printed and twice(cut.client, cut.run) == []
    assert kept_tensors(cut.client, cut.run.info.run_id) == kept_tensors(calm.client, calm.run.info.run_id)
    assert cut.text("side_effects_by_step.csv") == calm.text("side_effects_by_step.csv")
    assert cut.run.data.tags["stop_on"] == calm.run.data.tags["stop_on"]


def test_several_processes_are_refused(monkeypatch):
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    with pytest.raises(UserError, match="stop_on evaluates suites in one process"):
        stop_on.keeps(TuneConfig(stop_on="keeps"), Claims(()))
    assert stop_on.keeps(TuneConfig(), Claims(())) == ()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stop_on": "facts/accuracy"}, "no keep on facts/accuracy; there are keeps on stop_rate, loop_rate.*suites="),
        ({"stop_on": ","}, "no keep on anything; there are keeps on stop_rate"),
        ({"stop_on": "keeps", "restore": "last"}, "stop_on .* needs restore=best"),
    ],
)
def test_what_stop_on_can_not_mind_is_one_line_before_training(quick, store, settings, message):
    with pytest.raises(ConfigError, match=message):
        pirate(quick(**settings))
    assert list(runs_of(MlflowClient(store))) == []
