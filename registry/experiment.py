"""Parley's experiment in MLflow, and the runs that are found in it."""

from dataclasses import dataclass

from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from data.errors import first_line
from registry.errors import TrackingUnavailable
from registry.store import artifact_location

EXPERIMENT = "parley"
#: MLflow's tag of a child with the id of its run.
PARENT = "mlflow.parentRunId"
#: MLflow's own, where ``mlflow run`` makes its run unless another one is named.
DEFAULT_EXPERIMENT = "0"


def experiment_id(client: MlflowClient, name: str = EXPERIMENT) -> str:
    """The id of the experiment called ``name``, which is made where there is none."""
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return client.create_experiment(name, artifact_location=artifact_location(client.tracking_uri, name))
        except MlflowException:  # another process made it just now
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return found.experiment_id


def find(name: str) -> str:
    """The id of the newest run called ``name`` in Parley's experiment; empty where there is none.

    Raises:
        TrackingUnavailable: the tracking server does not answer.
    """
    client = MlflowClient()
    try:
        found = client.search_runs([experiment_id(client)], f"attributes.run_name = '{name}'", max_results=1)
    except (MlflowException, OSError) as error:
        raise TrackingUnavailable(f"{client.tracking_uri} does not answer: {first_line(error)}") from error
    return found[0].info.run_id if found else ""


def search_everywhere(client: MlflowClient, wanted: str, most: int) -> list[Run]:
    """The newest runs of all experiments that fit the filter ``wanted``, at most ``most`` of them."""
    experiments = [each.experiment_id for each in client.search_experiments()]
    order = ["attributes.start_time DESC"]
    return list(client.search_runs(experiments, wanted, max_results=most, order_by=order)) if experiments else []


@dataclass(frozen=True)
class Named:
    """A run as the store lists it."""

    name: str
    run_id: str
    experiment_id: str


def newest(store: str) -> Named | None:
    """The newest run of Parley's experiment that is no child and was not removed; None where there is none."""
    client = MlflowClient(store)
    found = client.get_experiment_by_name(EXPERIMENT)
    page = client.search_runs([found.experiment_id], max_results=200) if found else []
    for run in page:
        if PARENT not in run.data.tags:
            return Named(run.info.run_name or "", run.info.run_id, run.info.experiment_id)
    return None
