"""The results of a study: metrics read from the runs of its cells, stored in the parent as tables, plots and a page."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data.markdown import bullets, plain
from evals.metric import Data
from evals.metrics import for_studies
from evals.significance import mean_over_seeds
from recipes.studies import noise_plots, noise_report, preference_report, sft_plots, sft_report
from recipes.studies.config import StudyConfig
from recipes.studies.grid import CLEAN, Cell
from recipes.studies.statistics import NOISE_DATA, Record, Records, by_value
from registry import study_runs
from registry.runs import Run
from registry.study_runs import ChildRun

#: What writes the page of a grid.
PAGES = {"noise": noise_report.page, "pirate": sft_report.page, "preference": preference_report.page}


#: The first section of the run's charts.
PLOTS = "Plots"
#: What is drawn of a grid.
SUBPLOTS = {
    "noise": noise_plots.subplots,
    "pirate": sft_plots.subplots,
    "preference": noise_plots.preference_subplots,
}


def record(config: StudyConfig, grid: Sequence[Cell], run: Run) -> str:
    """Read every cell that has ended, store tables, plots and page, and return the page's sentences."""
    records = collect(grid, run.run_id)
    if not records:
        return "No cell ended: there is nothing to report."
    columns = list(dict.fromkeys(key for each in records for key in each))
    run.table([{key: _format(each.get(key)) for key in columns} for each in records], "cells_table.json")
    run.text(json.dumps(records, indent=1), "cells_results.json")
    missing = len(grid) - len(records)
    if config.grid == "noise":
        _log_curves(records, run)
    page = PAGES[config.grid](config, records, missing)
    page += _claims(grid, records)
    pictures = _store_plots(config, records, run)
    run.text(page, "study.md")
    title, _, rest = page.partition("\n\n")
    run.describe("\n\n".join([title, *pictures, ""]) + rest, "study.md")
    run.flush()
    return f"{plain(page)}\n\nNext    make ui   the study's plots, its page study.md with all tables, and its runs"


def _claims(grid: Sequence[Cell], records: Records) -> str:
    """What became of each cell's claims; empty where older code ran the cells."""
    rows = [
        (cell.name, each["claims"])
        for cell in grid
        for each in records
        if each["claims"] and all(each[key] == value for key, value in cell.coordinates)
    ]
    if not rows:
        return ""
    note = "Corrected for the claims of a cell, not for the number of cells; each cell's run has its claims.png."
    return "\n".join(["", "## Claims", "", note, "", *bullets(f"{name}: {outcome}" for name, outcome in rows), ""])


def collect(grid: Sequence[Cell], parent_id: str) -> list[Record]:
    """A record for each cell that has ended: its coordinates, run, verdict and metrics, None where undefined."""
    done = study_runs.ended(parent_id)
    runs = {child.run_id: child for child in study_runs.children(parent_id)}
    return [_record(cell, runs[done[cell.digest]]) for cell in grid if done.get(cell.digest) in runs]


def _record(cell: Cell, child: ChildRun) -> Record:
    found = {**dict(cell.coordinates), "run_id": child.run_id, "verdict": child.tags.get("verdict", "")}
    found["claims"] = child.tags.get("claims", "")
    if cell.entry == "noisy":
        found |= {"base_accuracy": child.metrics.get("base/accuracy"), **_metrics(child, *NOISE_DATA)}
        found["rows"] = child.tags.get("clean_digest", "")
    else:
        found |= _metrics(child, "answers", *(("preferences",) if cell.entry == "dpo" else ()))
        found["rows"] = child.tags.get("dataset_digest", "")
    return found


def _metrics(child: ChildRun, *data: Data) -> dict[str, float | None]:
    """The run's metrics that studies record, by their names, and ``change/NAME`` with the ends of its interval."""
    recorded = for_studies("record", *data)
    values = {
        metric.name: next((child.metrics[key] for key in metric.run_keys if key in child.metrics), None)
        for metric in recorded
    }
    keys = [f"change/{metric.name}{end}" for metric in recorded for end in ("", "_low", "_high")]
    return {**values, **{key: child.metrics[key] for key in keys if key in child.metrics}}


def with_controls(records: Records) -> list[Record]:
    """The same records with each clean control as rate 0 of every kind, so that each line begins at it."""
    kinds = list(dict.fromkeys(each["kind"] for each in records if each["kind"] != CLEAN)) or [CLEAN]
    return [{**each, "kind": kind} for each in records for kind in (kinds if each["kind"] == CLEAN else [each["kind"]])]


def _store_plots(config: StudyConfig, records: Records, run: Run) -> list[str]:
    """Store the plots; returns Markdown for each, which shows it in the run's description."""
    folder = run.folder / "plots"
    folder.mkdir(parents=True, exist_ok=True)
    for learner, own in by_value(records, "learner").items():
        _plot(config, learner, own, folder)
    run.folder_of_files(folder, "plots")
    pictures = sorted(folder.glob("*.png"))
    for path in pictures:  # a chart's caption in MLflow's UI, all params of the run, covers most of it
        run.chart(path, PLOTS)
    return [study_runs.preview(run.run_id, path) for path in pictures]


def _plot(config: StudyConfig, learner: str, records: Records, folder: Path) -> None:
    subplots = SUBPLOTS[config.grid]()
    if not any(each.get(subplot.key) is not None for each in records for subplot in subplots):
        return
    if config.grid == "preference":
        path = folder / f"preferences_{learner}.png"
        title = f"{config.rows}, {learner}: wrong preferences"
        noise_plots.rate_curves(records, title, path, "loss", subplots, noise_plots.FLIPPED)
    elif config.grid == "pirate":
        sft_plots.epoch_curves(records, f"pirate, {learner}", folder / f"pirate_{learner}.png")
    else:
        title = f"{config.dataset}, {learner}: wrong labels"
        noise_plots.rate_curves(with_controls(records), title, folder / f"rates_{learner}.png")


def _log_curves(records: Records, run: Run) -> None:
    """Means over seeds as the parent's metrics ``LEARNER/KIND/METRIC``; steps are thousandths of the rate."""
    by_place: dict[tuple[str, str, float], list[Record]] = {}
    for each in with_controls(records):
        by_place.setdefault((each["learner"], each["kind"], each["rate"]), []).append(each)
    for (learner, kind, rate), here in sorted(by_place.items(), key=lambda item: item[0][2]):
        for subplot in noise_plots.subplots():
            found = mean_over_seeds([each.get(subplot.key) for each in here])
            ends = (("", "mean"), ("_low", "low"), ("_high", "high"))
            values = {f"{learner}/{kind}/{subplot.key}{end}": getattr(found, name) for end, name in ends if found}
            run.log(round(1000 * rate), {key: value for key, value in values.items() if value is not None})


def _format(value: Any) -> str:
    return "" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)
