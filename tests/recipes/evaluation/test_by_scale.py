"""A version measured by the scale of its adapter: 0 is its base and 1 the version, token for token."""

import csv
import json
from dataclasses import replace

import pytest
from mlflow.tracking import MlflowClient

from data.conversation import Row
from data.errors import ConfigError, UserError
from evals.generation import Decoding, answer, answer_scaled
from recipes.evaluation import by_scale, models
from recipes.evaluation.config import SCALES, EvaluateConfig
from recipes.version_models import load
from registry.report_files import find_scales, load_text
from steps.evaluate import evaluate

ROWS = [{"prompt": f"Where is the {word}?", "response": f"Arr, the {word} be here, matey."}
        for word in ("cat", "dog", "hat", "cup", "key", "bed", "car", "egg", "pen", "map", "bag", "fox")]  # fmt: skip


@pytest.fixture(scope="module")
def measured(version, tmp_path_factory):
    """What ``scales.json`` and ``scales.csv`` hold of a version at four scales, and the run's id."""
    rows = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    evaluate([f"--version={version}", "--scales=1,-1,1.5", f"--test_dataset={rows}", "--limit=10", "--suite=sycophancy",
              "--max_new_tokens=6", "--threads=1"])  # fmt: skip
    run_id = find_scales(version)
    return json.loads(load_text(run_id, "scales.json")), load_text(run_id, "scales.csv"), run_id


def test_every_metric_has_a_value_and_a_paired_interval_at_every_scale(measured):
    found, table, run_id = measured
    curves = {each["name"]: each for each in found["curves"]}
    assert {"lexicon_rate", "chrf", "perplexity", "loop_rate", "sycophancy/accuracy"} <= set(curves)
    for each in curves.values():
        assert [point["scale"] for point in each["points"]] == [-1, 0, 1, 1.5]
        assert each["points"][1]["change"] == 0 and each["points"][1]["value"] == each["points"][1]["before"]
    assert curves["chrf"]["n"] == 10 and curves["sycophancy/accuracy"]["n"] == 60
    perplexities = [point["value"] for point in curves["perplexity"]["points"]]
    assert len(set(perplexities)) == 4 and all(point["low"] is not None for point in curves["perplexity"]["points"])
    rows = list(csv.DictReader(table.splitlines()))
    assert len(rows) == 4 * len(curves) and float(rows[0]["value"]) == found["curves"][0]["points"][0]["value"]
    history = MlflowClient().get_metric_history(run_id, "scale/perplexity")
    by_step = zip((-100, 0, 100, 150), perplexities, strict=True)
    assert sorted((each.step, each.value) for each in history) == list(by_step)
    names = {each.path for each in MlflowClient().list_artifacts(run_id)}
    assert {"scales.json", "scales.csv", "scales.png", "scales.txt"} <= names


def test_one_batch_of_scales_answers_as_each_model_alone_and_scale_0_is_the_base(version):
    model, tokenizer = load(models.find(version).tuned)
    rows = [Row(((row["prompt"], ""),)) for row in ROWS[:4]]
    decoding = Decoding(8)
    with model.disable_adapter():
        alone = [answer(model, tokenizer, rows, decoding)]
    for scale in (1, 1.5):
        with by_scale.scaled(model, scale):
            alone.append(answer(model, tokenizer, rows, decoding))
    assert answer_scaled(model, tokenizer, rows, decoding, (0, 1, 1.5)) == alone
    assert len({tuple(each.text for each in answers) for answers in alone}) == 3


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"scales": "1,four"}, "write auto, or numbers separated by commas"),
        ({"scales": "3.5"}, "3.5 is not from -1 to 3"),
        ({"scales": "auto", "suite": "lm_eval:arc_easy"}, "scales takes Parley's own suites"),
        ({"scales": "auto", "judge": "pirate/2"}, "name one of them"),
    ],
)
def test_what_can_not_be_measured_is_one_line(settings, reason):
    with pytest.raises(ConfigError, match=reason):
        EvaluateConfig(version="pirate/1", **settings)


def test_the_base_is_always_measured_and_auto_has_seven_scales():
    assert EvaluateConfig(scales="2,1").scale_values() == (0, 1, 2)
    assert EvaluateConfig(scales="auto").scale_values() == SCALES and EvaluateConfig().scale_values() == ()


def test_a_version_without_an_adapter_is_refused(version):
    sides = models.find(version)
    whole = replace(sides, tuned=replace(sides.tuned, info=replace(sides.tuned.info, kind="full")))
    with pytest.raises(UserError, match="pirate/1 has no adapter that could be scaled: it is full"):
        by_scale.require_scalable(whole)
