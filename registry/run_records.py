"""Runs as plain values for a page: what they are, how far they are, and what they found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlflow.entities import Run, RunStatus
from mlflow.exceptions import MlflowException

from registry import report_files
from registry.experiment import search_everywhere
from registry.lineage import unquoted
from registry.store import connected, is_down
from registry.study_runs import CELL, PARENT
from registry.version_details import EVAL_LOSS, TRAIN_LOSS

#: The entry point that started a run, as a tag of it.
ENTRY = "entry"
_PROJECT_ENTRY = "mlflow.project.entryPoint"
#: How many of the newest runs are looked through.
MOST = 500


@dataclass(frozen=True)
class RunRecord:
    """A run as the store has it.

    ``entry``: the entry point that started it, empty where that is not known. ``status``: MLflow's. Times are seconds
    since the epoch; ``ended_s`` is None while it goes on. ``params``, ``tags``, ``metrics``: the last value of each.
    ``data``: names of its training data.
    """

    run_id: str
    experiment_id: str
    name: str
    entry: str
    status: str
    started_s: float
    ended_s: float | None
    params: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    data: str = ""

    @property
    def is_cell(self) -> bool:
        """Whether it is a cell of a study."""
        return CELL in self.tags

    @property
    def parent_id(self) -> str:
        """The run under which it is one of several, or empty."""
        return self.tags.get(PARENT) or self.tags.get("parent_run_id", "")

    @property
    def version(self) -> str:
        """The version that it registered, as ``pirate/3``; empty where it has none."""
        return self.tags.get("registered_version", "")


@dataclass(frozen=True)
class Point:
    """One value of a metric: ``step`` of the optimizer, and when it was measured, in seconds since the epoch."""

    step: int
    value: float
    at_s: float


def recent(entries: Sequence[str], most: int = 50) -> list[RunRecord]:
    """The newest runs of these entry points in any experiment, the newest first.

    Raises:
        TrackingUnavailable: the tracking server does not answer.
    """
    with connected() as client:
        records = [_record(run) for run in search_everywhere(client, "", MOST)]
    return [record for record in records if record.entry in entries][:most]


def load(run_id: str) -> RunRecord | None:
    """The run, or None where it is gone.

    Raises:
        TrackingUnavailable: the tracking server does not answer.
    """
    with connected() as client:
        try:
            return _record(client.get_run(run_id))
        except MlflowException as error:
            if is_down(error):
                raise
            return None


def history(run_id: str, name: str) -> list[Point]:
    """Every value of a metric, in order of steps.

    Raises:
        TrackingUnavailable: the tracking server does not answer.
    """
    with connected() as client:
        found = {point.step: point for point in client.get_metric_history(run_id, name)}
    return [Point(step, found[step].value, found[step].timestamp / 1000) for step in sorted(found)]


def losses(record: RunRecord) -> tuple[list[Point], list[Point]]:
    """(training, validation) losses of a run, empty where it has logged none."""
    train, evals = (next((name for name in names if name in record.metrics), "") for names in (TRAIN_LOSS, EVAL_LOSS))
    return history(record.run_id, train) if train else [], history(record.run_id, evals) if evals else []


def table(run_id: str, name: str) -> list[dict[str, Any]]:
    """The records of a table that the run keeps as ``name``; empty where there is none."""
    held = report_files.load_json(run_id, name)
    return [dict(zip(held["columns"], row, strict=True)) for row in held["data"]] if held else []


def _record(run: Run) -> RunRecord:
    info, tags = run.info, dict(run.data.tags)
    params = {name: unquoted(value) for name, value in run.data.params.items()}
    name = info.run_name or ""
    return RunRecord(
        run_id=info.run_id,
        experiment_id=info.experiment_id,
        name=name,
        entry=tags.get(ENTRY) or tags.get(_PROJECT_ENTRY, "") or name,
        status=RunStatus.to_string(info.status) if isinstance(info.status, int) else info.status,
        started_s=(info.start_time or 0) / 1000,
        ended_s=info.end_time / 1000 if info.end_time else None,
        params=params,
        tags=tags,
        metrics=dict(run.data.metrics),
        data=_data(run, params),
    )


def _data(run: Run, params: Mapping[str, str]) -> str:
    for given in run.inputs.dataset_inputs if run.inputs else ():
        if "training" in {tag.value for tag in given.tags}:
            return params.get("dataset") or given.dataset.name
    return params.get("dataset", "")
