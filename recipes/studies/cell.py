"""One cell of a study, run by whatever process receives it: a worker on this machine, or one on another."""

import contextlib
import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

from data.errors import UserError
from recipes.studies.grid import Cell

DIED = "the process that ran this cell died"


@dataclass(frozen=True)
class Task:
    """A cell to run under the study ``parent_id``.

    ``folder`` is where the study was started, for relative paths; ``environment`` is set before anything else.
    """

    cell: Cell
    parent_id: str
    folder: str
    outputs: str
    environment: Mapping[str, str]


@dataclass(frozen=True)
class CellResult:
    """The run that completed a cell, or the error because of which there is none."""

    name: str
    digest: str
    run_id: str
    error: str = ""
    seconds: float = 0.0


def run_cell(task: Task) -> CellResult:
    """Run the cell unless it has ended; on any error its run is FAILED and the result holds the ``error``."""
    began = perf_counter()
    _prepare_process(task)
    from registry import study_runs

    cell, parent = task.cell, task.parent_id
    try:
        before = study_runs.ended(parent).get(cell.digest)
        if before:
            return CellResult(cell.name, cell.digest, before)
        study_runs.mark_failed(parent, DIED, cell.digest)
        run = study_runs.start(
            parent, cell.digest, cell.name, {"entry": cell.entry, **dict(cell.coordinates)}, Path(task.outputs)
        )
    except Exception as error:  # the store can't be reached: the study reports it and goes on
        return CellResult(cell.name, cell.digest, "", _one_line(error), perf_counter() - began)
    try:
        run.text("\n".join(_recipe(cell.entry)(cell.config, run)) + "\n", "log.txt")
        run.require_server()
        first = study_runs.claim(parent, cell.digest, run.run_id)
        if first != run.run_id:
            study_runs.delete_versions(run.run_id)
            raise UserError(f"run {first} ended this cell first")
        run.finish()
        return CellResult(cell.name, cell.digest, run.run_id, "", perf_counter() - began)
    except Exception as error:
        with contextlib.suppress(Exception):
            run.text(traceback.format_exc(), "error.txt")
        run.fail(error)
        first = _completed_by(parent, cell.digest)
        return CellResult(cell.name, cell.digest, first, "" if first else _one_line(error), perf_counter() - began)
    finally:
        run.discard()


def check_claims(cell: Cell) -> None:
    """Read the rows and the claims of a cell as its run will, which has no retention suites.

    Raises:
        UserError: they can't be used.
    """
    config: Any = cell.config
    if cell.entry == "noisy":
        from recipes.noisy_labels import claims as of_labels
        from recipes.noisy_labels import data as labelled

        dataset = labelled.read(config)
        of_labels.read(config, None if dataset.is_questions else dataset.labels)
    elif cell.entry == "dpo":
        from recipes.dpo import claims as of_preferences
        from recipes.dpo import data as preferences

        of_preferences.read(config, preferences.load(config), [])
    else:
        from recipes.sft import claims as of_answers
        from recipes.sft import data as pairs

        of_answers.read(config, pairs.load(config), [])


def _prepare_process(task: Task) -> None:
    os.environ.update(task.environment)
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
        os.environ.pop(name, None)  # the parent's: a cell has a run of its own
    if Path(task.folder).is_dir():  # another machine may not have it
        os.chdir(task.folder)


def _recipe(entry: str) -> Callable[[Any, Any], Iterator[str]]:
    if entry == "noisy":
        from recipes.noisy_labels.run import noisy

        return noisy
    from recipes.sft.run import tune

    if entry == "dpo":
        from recipes.dpo.run import PREFERENCES

        return partial(tune, recipe=PREFERENCES)
    return tune


def _completed_by(parent: str, digest: str) -> str:
    """The run that completed the cell; empty where there is none or the store can't be reached."""
    from registry import study_runs

    with contextlib.suppress(Exception):
        return study_runs.ended(parent).get(digest, "")
    return ""


def _one_line(error: BaseException) -> str:
    return " ".join((str(error).strip() or type(error).__name__).splitlines()[:2])[:300]
