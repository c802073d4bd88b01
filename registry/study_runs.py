"""The runs of a study's cells, children of its run. Each cell is finished by exactly one run, whichever was killed.

A cell is identified by a digest of its settings. It has ended once its run is logged as the parent's param
``cell.DIGEST``: MLflow writes a param only once, so of two processes that ran the same cell one is first and the other
reads that it was not. The run is set FINISHED afterwards; where that was lost, ``mark_failed`` does it.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from registry.evaluation_run import ROOT, with_scores
from registry.experiment import PARENT
from registry.runs import Run

CELL = "study_cell"
_CLAIM = "cell."
PREVIEW_PX = 640  # MLflow shows a picture in a description as wide as it is
_PAGE = 1000
OLDEST_FIRST = ["attributes.start_time ASC"]


@dataclass(frozen=True)
class ChildRun:
    """A run under a study as the store has it; ``cell`` is the digest of its settings."""

    run_id: str
    name: str
    cell: str
    status: str
    metrics: Mapping[str, float]
    tags: Mapping[str, str]


def address() -> str:
    """The tracking store's address, the same in every process of this machine."""
    return MlflowClient().tracking_uri


def children(parent_id: str, cell: str = "") -> list[ChildRun]:
    """Every run under the study, or those of one of its cells, the oldest first; with the metrics of its evaluation."""
    client = MlflowClient()
    experiment = client.get_run(parent_id).info.experiment_id
    wanted = f"tags.`{PARENT}` = '{parent_id}'" + (f" and tags.{CELL} = '{cell}'" if cell else "")
    found = [*_search(client, experiment, wanted), *_search(client, experiment, f"tags.{ROOT} = '{parent_id}'")]
    return [_child(run) for run in with_scores(found)]


def _search(client: MlflowClient, experiment: str, wanted: str) -> Iterator[Any]:
    """All runs of the experiment that fit the filter, the oldest first."""
    token = None
    while True:
        page = client.search_runs([experiment], wanted, max_results=_PAGE, page_token=token, order_by=OLDEST_FIRST)
        yield from page
        token = page.token
        if not token:
            return


def ended(parent_id: str) -> dict[str, str]:
    """Digest of each cell that has ended -> the run that ended it."""
    params = MlflowClient().get_run(parent_id).data.params
    return {key.removeprefix(_CLAIM): value for key, value in params.items() if key.startswith(_CLAIM)}


def start(parent_id: str, cell: str, name: str, tags: Mapping[str, Any], outputs: Path) -> Run:
    """Start a run of ``cell`` under the study."""
    client = MlflowClient()
    experiment = client.get_run(parent_id).info.experiment_id
    given = {PARENT: parent_id, CELL: cell, **{key: str(value) for key, value in tags.items()}}
    run_id = client.create_run(experiment, tags=given, run_name=name).info.run_id
    run = Run(client, run_id, outputs / run_id)
    run.folder.mkdir(parents=True, exist_ok=True)
    return run


def claim(parent_id: str, cell: str, run_id: str) -> str:
    """Log that ``run_id`` ended the cell; returns the run that did: this one, or one that was first."""
    client = MlflowClient()
    try:
        client.log_param(parent_id, _CLAIM + cell, run_id)
    except MlflowException:
        if cell not in ended(parent_id):  # another error: no run was first
            raise
    return ended(parent_id)[cell]


def mark_failed(parent_id: str, why: str, cell: str = "") -> list[str]:
    """Mark runs whose process was lost as FAILED, with ``why`` as their error, and those that ended as FINISHED.

    Of all cells, or of one. Versions that a failed run had registered are removed, because its cell did not end.
    Returns the ids of the failed runs.
    """
    client, finished, failed = MlflowClient(), ended(parent_id), []
    for child in children(parent_id, cell):
        if child.status == "FINISHED":
            continue
        if finished.get(child.cell) == child.run_id:
            client.set_terminated(child.run_id, "FINISHED")
        elif child.status in ("RUNNING", "SCHEDULED"):
            client.set_tag(child.run_id, "error", why)
            client.set_terminated(child.run_id, "FAILED")
            delete_versions(child.run_id)
            failed.append(child.run_id)
    return failed


def delete_versions(run_id: str) -> None:
    """Remove the versions that the run registered."""
    client = MlflowClient()
    with contextlib.suppress(MlflowException):  # a version that stays does no harm
        for version in client.search_model_versions(f"run_id = '{run_id}'"):
            client.delete_model_version(version.name, version.version)


def _child(run: Any) -> ChildRun:
    tags = dict(run.data.tags)
    name = run.info.run_name or ""
    return ChildRun(run.info.run_id, name, tags.get(CELL, ""), run.info.status, dict(run.data.metrics), tags)


def preview(run_id: str, picture: Path) -> str:
    """Keep a copy of the picture as wide as a description; returns Markdown that shows it there in MLflow's UI."""
    from PIL import Image

    with Image.open(picture) as image:
        image.thumbnail((PREVIEW_PX, image.height))
        MlflowClient().log_image(run_id, image, artifact_file=f"previews/{picture.name}")
    return f"![{picture.stem}](get-artifact?path=previews/{picture.name}&run_uuid={run_id})"
