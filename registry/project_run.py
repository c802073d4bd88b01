"""The run that ``mlflow run`` makes for the process that it starts, and names in ``MLFLOW_RUN_ID``.

``mlflow run`` sets this run's status when the process has ended, and fails where it is removed by then. So a run
that is removed is restored at the end of the process, and removed again by ``registry.run_finalizer``.
"""

import atexit
import os
from typing import TYPE_CHECKING

from mlflow.entities import Param
from mlflow.tracking import MlflowClient
from mlflow.utils.uri import append_to_uri_path

from registry import run_finalizer
from registry.store import retry_locked

if TYPE_CHECKING:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore


def given() -> str:
    """Its id; empty where this process was started otherwise."""
    return os.environ.get("MLFLOW_RUN_ID", "")


def move(client: MlflowClient, run_id: str, experiment_id: str) -> str:
    """Move the run, which has no artifacts yet, to that experiment; returns its id there.

    MLflow has no call for this. In a database the run keeps its id, which ``mlflow run`` has printed. At a tracking
    server a new run gets the params and tags, and ``run_id`` is discarded.
    """
    store = _database(client)
    if store is None:
        return _copy(client, run_id, experiment_id)
    _move_in_database(store, run_id, experiment_id)
    return run_id


def _database(client: MlflowClient) -> "SqlAlchemyStore | None":
    """The client's store where it is a database; None where a tracking server keeps the runs."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    store = client._tracking_client.store
    return store if isinstance(store, SqlAlchemyStore) else None


def _move_in_database(store: "SqlAlchemyStore", run_id: str, experiment_id: str) -> None:
    from mlflow.store.tracking.dbmodels.models import SqlRun

    folder = store.get_experiment(experiment_id).artifact_location
    moved = {"experiment_id": int(experiment_id), "artifact_uri": append_to_uri_path(folder, run_id, "artifacts")}
    with store.ManagedSessionMaker() as session:
        session.query(SqlRun).filter_by(run_uuid=run_id).update(moved)


def _copy(client: MlflowClient, run_id: str, experiment_id: str) -> str:
    data = client.get_run(run_id).data
    copy = client.create_run(experiment_id, tags=dict(data.tags)).info.run_id
    client.log_batch(copy, params=[Param(key, value) for key, value in data.params.items()])
    client.set_tag(run_id, "moved_to", copy)
    discard(client, run_id)
    return copy


def discard(client: MlflowClient, run_id: str) -> None:
    """Remove the run, now and for good once ``mlflow run`` has set its status."""
    retry_locked(lambda: client.delete_run(run_id))
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
