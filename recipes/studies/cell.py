"""One cell of a study, done by whatever process is given it: a worker here, or one on another machine."""

import contextlib
import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from data.errors import UserError
from recipes.studies.grid import Cell

DIED = "the process that ran this cell died"


@dataclass(frozen=True)
class Task:
    """A cell to be done under the study ``parent_id``.

    ``folder`` is where the study was started, for relative paths; ``environment`` is set before anything else.
    """

    cell: Cell
    parent_id: str
    folder: str
    outputs: str
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Ended:
    """What became of a task: the run that ended its cell, or why none did."""

    name: str
    digest: str
    run_id: str
    error: str = ""
    seconds: float = 0.0


def carry_out(task: Task) -> Ended:
    """Do the cell unless it has ended; whatever goes wrong leaves its run FAILED and comes back as ``error``."""
    began = perf_counter()
    _settle(task)
    from registry import study_runs

    cell, parent = task.cell, task.parent_id
    try:
        before = study_runs.ended(parent).get(cell.digest)
        if before:
            return Ended(cell.name, cell.digest, before)
        study_runs.mark_failed(parent, DIED, cell.digest)
        run = study_runs.start(parent, cell.digest, cell.name, {"entry": cell.entry, **dict(cell.place)},
                             Path(task.outputs))  # fmt: skip
    except Exception as error:  # the store is away: the study says so and goes on
        return Ended(cell.name, cell.digest, "", _line(error), perf_counter() - began)
    try:
        run.text("\n".join(_work(cell.entry)(cell.config, run)) + "\n", "log.txt")
        run.require_server()
        holder = study_runs.claim(parent, cell.digest, run.run_id)
        if holder != run.run_id:
            study_runs.disown(run.run_id)
            raise UserError(f"run {holder} ended this cell first")
        run.finish()
        return Ended(cell.name, cell.digest, run.run_id, "", perf_counter() - began)
    except Exception as error:
        with contextlib.suppress(Exception):
            run.text(traceback.format_exc(), "error.txt")
        run.fail(error)
        holder = _holder(parent, cell.digest)
        return Ended(cell.name, cell.digest, holder, "" if holder else _line(error), perf_counter() - began)
    finally:
        run.discard()


def _settle(task: Task) -> None:
    os.environ.update(task.environment)
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
        os.environ.pop(name, None)  # the parent's: a cell has a run of its own
    if Path(task.folder).is_dir():  # another machine may not have it
        os.chdir(task.folder)


def _work(entry: str) -> Callable[[Any, Any], Iterator[str]]:
    if entry == "noisy":
        from recipes.noisy_labels.run import noisy

        return noisy
    from recipes.sft.run import tune

    return tune


def _holder(parent: str, digest: str) -> str:
    from registry import study_runs

    with contextlib.suppress(Exception):
        return study_runs.ended(parent).get(digest, "")
    return ""


def _line(error: BaseException) -> str:
    return " ".join((str(error).strip() or type(error).__name__).splitlines()[:2])[:300]
