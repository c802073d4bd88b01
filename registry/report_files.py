"""The report of a run among its artifacts: ``report.html``, and the same facts as ``report.json``."""

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from registry.experiment import search_everywhere
from registry.runs import Run
from registry.store import connected, is_down, local_folder

PAGE, RECORD = "report.html", "report.json"


def save(run: Run, page: str, record: Mapping[str, Any]) -> str:
    """Keep both as artifacts of the run; returns where the page is, in words for the screen."""
    run.text(json.dumps(record, indent=1), RECORD)
    run.text(page, PAGE)
    folder = local_folder(run.client.get_run(run.run_id).info.artifact_uri or "")
    if folder is None:
        return f"{PAGE} among the run's artifacts in MLflow"
    path = folder / PAGE
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def load_page(run_id: str) -> str:
    """The page of a run; empty where it has none.

    Raises:
        TrackingUnavailable: the tracking server does not answer.
    """
    return load_text(run_id, PAGE)


def find_comparison(first: str, second: str) -> str:
    """The id of the newest finished run that compared these two versions; empty where there is none.

    Raises:
        TrackingUnavailable: the tracking server does not answer.
    """
    return _newest(f"tags.compared_first = '{first}' AND tags.compared_second = '{second}'")


def find_scales(version: str) -> str:
    """The id of the newest finished run that measured this version by the scale of its adapter; empty for none.

    Raises:
        TrackingUnavailable: the tracking server does not answer.
    """
    return _newest(f"tags.version = '{version}' AND params.scales != ''")


def _newest(wanted: str) -> str:
    with connected() as client:
        found = search_everywhere(client, f"{wanted} AND status = 'FINISHED'", 1)
    return found[0].info.run_id if found else ""


def load_text(run_id: str, name: str) -> str:
    """The text of an artifact of the run; empty where there is none, or the run is gone.

    Raises:
        TrackingUnavailable: the tracking server does not answer.
    """
    with connected() as client:
        return _download(client, run_id, name)


def load_json(run_id: str, name: str) -> Any:
    """What an artifact of the run holds as JSON; None where there is none, or the run is gone.

    Raises:
        TrackingUnavailable: the tracking server does not answer.
    """
    text = load_text(run_id, name)
    return json.loads(text) if text else None


def _download(client: MlflowClient, run_id: str, name: str) -> str:
    try:
        with TemporaryDirectory() as folder:
            return Path(client.download_artifacts(run_id, name, folder)).read_text(encoding="utf-8")
    except (MlflowException, OSError) as error:
        if is_down(error):
            raise
        return ""
