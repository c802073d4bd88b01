"""The run that holds a run's scores before and after: its child of kind ``evaluation``.

MLflow's page of a run has a chart for each metric, sorted by name, so scores among them would stand before the curves.
They are those of the logged model on the test rows too, by which the page *Models* compares models.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from mlflow.entities import LoggedModelInput
from mlflow.tracking import MlflowClient

from registry.experiment import PARENT
from registry.metric_buffer import MetricBuffer
from registry.runs import DataSet, Run

KIND = "evaluation"
#: Tags that it has of the run, for the columns of a table.
COLUMNS = ("base", "data", "rate", "verdict", "base_model", "base_digest", "dataset_digest", "test_digest")
#: The tag with the run that is evaluated, or the study that this one is a cell of.
ROOT = "evaluated_under"


def record(run: Run, scores: Mapping[int, Mapping[str, float]], model_uri: str, rows: DataSet) -> None:
    """Keep ``scores``, by step, of the model that was logged as ``models:/ID`` by ``run``, measured on ``rows``.

    A run that is resumed keeps those that it has.
    """
    client, tags = run.client, run.known_tags()
    experiment = client.get_run(run.run_id).info.experiment_id
    for known in client.search_runs([experiment], _of(run.run_id)):
        if known.info.status == "FINISHED":
            return
        client.delete_run(known.info.run_id)
    given = {PARENT: run.run_id, ROOT: tags.get(PARENT, run.run_id), "kind": KIND}
    given |= {name: tags[name] for name in COLUMNS if name in tags}
    run_id = client.create_run(experiment, tags=given, run_name=f"{tags['mlflow.runName']} evaluation").info.run_id
    own = Run(client, run_id, run.folder / KIND)
    own.datasets([rows])
    model = model_uri.removeprefix("models:/") if model_uri.startswith("models:/m-") else ""
    if model:
        client.log_inputs(run_id, models=[LoggedModelInput(model)])
    name, digest, *_ = rows
    about = {"model_id": model, "dataset_name": name, "dataset_digest": digest} if model else {}
    buffer = MetricBuffer(run.folder / KIND, about=about)
    for step, values in scores.items():
        buffer.add(step, values)
    buffer.send(client, run_id)
    client.set_terminated(run_id)


def with_scores(found: Iterable[Any]) -> list[Any]:
    """The runs among ``found`` that are no evaluations, each with the metrics of its evaluation among its own.

    Runs of older code have them themselves.
    """
    runs = {run.info.run_id: run for run in found}
    for run in list(runs.values()):
        if run.data.tags.get("kind") == KIND:
            del runs[run.info.run_id]
            if run.data.tags[PARENT] in runs:
                runs[run.data.tags[PARENT]].data.metrics.update(run.data.metrics)
    return list(runs.values())


def read(run_id: str) -> Any:
    """The run ``run_id`` as MLflow has it, with the metrics of its evaluation among its own."""
    client = MlflowClient()
    run = client.get_run(run_id)
    return with_scores([run, *client.search_runs([run.info.experiment_id], _of(run_id))])[0]


def _of(run_id: str) -> str:
    """The filter for the evaluations of a run."""
    return f"tags.`{PARENT}` = '{run_id}' and tags.kind = '{KIND}'"
