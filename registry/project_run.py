"""The run that ``mlflow run`` makes for the process that it starts, and names in ``MLFLOW_RUN_ID``.

``mlflow run`` sets this run's status when the process has ended, and fails where it is removed by then. So a run
that is removed is restored at the end of the process, and removed again by ``registry.run_finalizer``.
"""

import atexit
import os

from mlflow.entities import Param
from mlflow.tracking import MlflowClient

from registry import run_finalizer


def given() -> str:
    """Its id; empty where this process was started otherwise."""
    return os.environ.get("MLFLOW_RUN_ID", "")


def move(client: MlflowClient, run_id: str, experiment_id: str) -> str:
    """A new run in that experiment with the params and tags of ``run_id``, which is discarded; returns the new id."""
    data = client.get_run(run_id).data
    moved = client.create_run(experiment_id, tags=dict(data.tags)).info.run_id
    client.log_batch(moved, params=[Param(key, value) for key, value in data.params.items()])
    client.set_tag(run_id, "moved_to", moved)
    discard(client, run_id)
    return moved


def discard(client: MlflowClient, run_id: str) -> None:
    """Remove the run, now and for good once ``mlflow run`` has set its status."""
    client.delete_run(run_id)
    atexit.register(client.restore_run, run_id)
    run_finalizer.later("remove", run_id, client.tracking_uri)


def discard_given() -> None:
    """Discard the run of this process, if it was started by ``mlflow run``: it does nothing that a run keeps."""
    if given():
        discard(MlflowClient(), given())


def keep_killed(client: MlflowClient, run_id: str) -> None:
    """Let the run be KILLED after ``mlflow run`` has called it FAILED, if it is the one of this process."""
    if run_id == given():
        run_finalizer.later("kill", run_id, client.tracking_uri)
