"""The study recipe: every cell of a grid run once under one parent, and a report over all of them."""

import dataclasses
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from data.errors import UserError
from recipes.claims import record_file
from recipes.studies import executors, results
from recipes.studies.cell import DIED, CellResult, Task, check_claims
from recipes.studies.config import EXECUTION, StudyConfig
from recipes.studies.grid import Cell, cells
from registry import lineage, study_runs
from registry.runs import Run

#: Variables of this process that workers get, on other machines too.
PASSED_ON = ("MLFLOW_REGISTRY_URI", "PARLEY_OUTPUTS", "PARLEY_TRACKING_PATIENCE_S", "MLFLOW_TRACKING_USERNAME",
             "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "HF_HUB_OFFLINE")  # fmt: skip


def study(config: StudyConfig, run: Run) -> Iterator[str]:
    """Run the cells that have not ended yet, then report on all cells; yields the lines that the user sees.

    Raises:
        UserError: the claims can't be used, or some cell failed; then the others have ended, and the report is written
            without it.
    """
    grid = cells(config)
    if config.engine == "ray":
        executors.require_ray()
    if config.claims:  # a fault shows before the first cell, not in each
        for cell in {(each.entry, vars(each.config)["dataset"]): each for each in grid}.values():
            check_claims(cell)
    _record_start(config, grid, run)
    study_runs.mark_failed(run.run_id, DIED)
    done = study_runs.ended(run.run_id)
    todo = [cell for cell in grid if cell.digest not in done]
    before = f", {len(grid) - len(todo)} of them done before" if len(todo) < len(grid) else ""
    yield f"Grid    {len(grid)} cells{before}; engine={config.engine}"
    failed: list[CellResult] = []
    try:
        for i, result in enumerate(_run_cells(config, todo, run), 1):
            if result.error:
                failed.append(result)
                study_runs.mark_failed(run.run_id, result.error, result.digest)
            yield _progress_line(result, i, len(todo))
    except BaseException:
        study_runs.mark_failed(run.run_id, "the study was stopped")
        raise
    yield results.record(config, grid, run)
    if failed:
        raise UserError(
            f"{len(failed)} of {len(grid)} cells failed; mend what is wrong and go on with -P resume={run.run_id}\n"
            + "\n".join(f"  {each.name}: {each.error}" for each in failed)
        )


def _run_cells(config: StudyConfig, todo: Sequence[Cell], run: Run) -> Iterator[CellResult]:
    environment = {"MLFLOW_TRACKING_URI": study_runs.address(), "MLFLOW_LOGGING_LEVEL": "WARNING",
                   "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false", "TOKENIZERS_PARALLELISM": "false",
                   "TRANSFORMERS_VERBOSITY": "error"}  # fmt: skip
    environment |= {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    folder, outputs = str(Path.cwd()), str(run.folder.parent.absolute())
    tasks = [Task(cell, run.run_id, folder, outputs, environment) for cell in todo]
    if not tasks:
        return iter(())
    jobs = config.jobs or executors.cores()
    if config.engine == "ray":
        return executors.run_ray(tasks, jobs, config.ray_address, config.retries)
    return executors.run_local(tasks, jobs)


def _record_start(config: StudyConfig, grid: Sequence[Cell], run: Run) -> None:
    record_file(config.claims, run)
    run.params({k: v for k, v in dataclasses.asdict(config).items() if k not in EXECUTION})
    run.tags({"cells": len(grid), "engine": config.engine, **lineage.code_state()})
    described = [{"digest": cell.digest, "entry": cell.entry, **dict(cell.coordinates)} for cell in grid]
    run.text(json.dumps(described, indent=1), "cells.json")


def _progress_line(result: CellResult, i: int, n: int) -> str:
    outcome = f"FAILED: {result.error}" if result.error else f"run {result.run_id}, {result.seconds:.1f} s"
    return f"{i:>4}/{n}  {result.name}: {outcome}"
