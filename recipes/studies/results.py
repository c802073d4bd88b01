"""What the cells of a study found: read from their runs, kept under the parent as tables, pictures and an answer."""

import json
from collections.abc import Sequence
from typing import Any

from evals.significance import mean_over_seeds
from recipes.studies import noise_report, sft_report
from recipes.studies.config import StudyConfig
from recipes.studies.grid import CLEAN, Cell
from recipes.studies.noise_plots import PANELS, Panel, rate_curves
from recipes.studies.sft_plots import pirate_curves
from registry import study_runs
from registry.runs import Run
from registry.study_runs import ChildRun

Record = dict[str, Any]
#: what a record calls it -> the metrics of a run, the first that it has
METRICS = {
    "accuracy": ("test/accuracy",),
    "auc": ("test/auc",),
    "ece": ("test/ece",),
    "mean_confidence": ("test/mean_confidence",),
    "mc1": ("test/mc1",),
    "mc2": ("test/mc2",),
    "base_accuracy": ("base/accuracy",),
    "memorised_share": ("train/memorised_share",),
    "detection_auroc": ("detection/out_of_fold_auroc", "detection/in_sample_auroc"),
    "flipped_share": ("detection/flipped_share",),
    "pruning_gain": ("pruning/gain",),
}
PIRATE_METRICS = ("chrf", "lexicon_rate", "content_rate", "echo_rate", "loop_rate", "stop_rate", "distinct_2",
                  "perplexity")  # fmt: skip
CURVES = (*PANELS, Panel("mc1", "MC1"))


def record(config: StudyConfig, grid: Sequence[Cell], run: Run) -> str:
    """Read every cell that ended, keep what they say together, and return it as lines for the screen."""
    records = gather(grid, run.run_id)
    if not records:
        return "No cell ended: there is nothing to say."
    columns = list(dict.fromkeys(key for each in records for key in each))
    run.table([{key: _cell(each.get(key)) for key in columns} for each in records], "cells_table.json")
    run.text(json.dumps(records, indent=1), "cells_results.json")
    missing = len(grid) - len(records)
    if config.grid == "noise":
        _log_curves(records, run)
        page = noise_report.page(config, records, missing)
    else:
        page = sft_report.page(config, records, missing)
    _keep_pictures(config, records, run)
    run.text(page, "study.md")
    run.flush()
    return page


def gather(grid: Sequence[Cell], parent_id: str) -> list[Record]:
    """One record for each cell of the grid that has ended: its place, its run, its figures; None is undefined."""
    done = study_runs.ended(parent_id)
    runs = {child.run_id: child for child in study_runs.children(parent_id)}
    return [_record(cell, runs[done[cell.digest]]) for cell in grid if done.get(cell.digest) in runs]


def _record(cell: Cell, child: ChildRun) -> Record:
    found: Record = {**dict(cell.place), "run_id": child.run_id, "verdict": child.tags.get("verdict", "")}
    if cell.entry == "noisy":
        for name, keys in METRICS.items():
            found[name] = next((child.metrics[key] for key in keys if key in child.metrics), None)
        found["rows"] = child.tags.get("clean_digest", "")
    else:
        found |= {name: child.metrics.get(f"test/{name}") for name in PIRATE_METRICS}
        found["rows"] = child.tags.get("dataset_digest", "")
    return found


def with_controls(records: Sequence[Record]) -> list[Record]:
    """The same records with each clean control as rate 0 of every kind, so that each line begins at it."""
    kinds = list(dict.fromkeys(each["kind"] for each in records if each["kind"] != CLEAN)) or [CLEAN]
    return [{**each, "kind": kind} for each in records for kind in (kinds if each["kind"] == CLEAN else [each["kind"]])]


def _keep_pictures(config: StudyConfig, records: Sequence[Record], run: Run) -> None:
    folder = run.folder / "plots"
    folder.mkdir(parents=True, exist_ok=True)
    for learner in dict.fromkeys(each["learner"] for each in records):
        own = [each for each in records if each["learner"] == learner]
        if config.grid == "pirate":
            pirate_curves(own, f"pirate, {learner}", folder / f"pirate_{learner}.png")
        elif any(each.get(panel.key) is not None for each in own for panel in CURVES):
            title = f"{config.dataset}, {learner}: wrong labels"
            rate_curves(with_controls(own), title, folder / f"rates_{learner}.png", panels=CURVES)
    run.folder_of_files(folder, "plots")


def _log_curves(records: Sequence[Record], run: Run) -> None:
    """Means over seeds as the parent's metrics, ``LEARNER/KIND/METRIC``; steps are thousandths of the rate."""
    places = dict.fromkeys((each["learner"], each["kind"], each["rate"]) for each in with_controls(records))
    for learner, kind, rate in sorted(places, key=lambda place: place[2]):
        here = [e for e in with_controls(records) if (e["learner"], e["kind"], e["rate"]) == (learner, kind, rate)]
        for panel in CURVES:
            found = mean_over_seeds([each.get(panel.key) for each in here])
            ends = (("", "mean"), ("_low", "low"), ("_high", "high"))
            values = {f"{learner}/{kind}/{panel.key}{end}": getattr(found, name) for end, name in ends if found}
            run.log(round(1000 * rate), {key: value for key, value in values.items() if value is not None})


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)
