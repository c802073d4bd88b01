"""The only owner of a run's params, metrics and artifacts in MLflow.

Metrics are buffered and sent in batches. A tracking server that is away stops no training: what could not be sent
waits in the run's own folder, is tried again, and is delivered when the run is resumed.
"""

import atexit
import contextlib
import json
import math
import os
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402
from mlflow.tracking import MlflowClient  # noqa: E402
from requests.exceptions import RequestException  # noqa: E402

from data.errors import UserError, first_line  # noqa: E402
from registry import run_finalizer  # noqa: E402

EXPERIMENT = "parley"
OUTBOX = "outbox.jsonl"
BATCH = 1000  # the most metrics that one log_batch call takes
LONGEST_PARAM = 6000
TRIALS = 5
AGAIN_S = 15.0  # a server that is away is asked no more often while training goes on: each time costs seconds
#: How long a finished training waits for a server that is away before it gives up and leaves the rest to a resume.
PATIENCE_S = float(os.environ.get("PARLEY_TRACKING_PATIENCE_S", "30"))


class TrackingUnavailable(UserError):
    """The tracking server does not answer."""


class Run:
    """One run being written. Make it with ``start`` or ``reopen``; end it with ``finish``."""

    def __init__(self, client: MlflowClient, run_id: str, folder: Path, sent: dict[str, int] | None = None):
        self.client = client
        self.run_id = run_id
        self.folder = folder
        self.away = False
        self._sent = sent or {}
        self._pending: list[Metric] = []
        self._tried_s = 0.0

    def log(self, step: int, metrics: Mapping[str, float], at_ms: int = 0) -> None:
        """Buffer ``metrics`` at ``step``. Values that are no finite number are left out: the store can't hold them.

        ``at_ms`` is when they were measured, 0 for now; the store keeps an equal point of an equal time only once.
        """
        now = at_ms or int(time.time() * 1000)
        for key, value in metrics.items():
            if math.isfinite(value) and (at_ms or step > self._sent.get(key, -1)):
                self._pending.append(Metric(key, float(value), now, step))

    def flush(self) -> None:
        """Send what is buffered; where the server is away, keep it in the run's folder and carry on."""
        if self.away and time.monotonic() - self._tried_s < AGAIN_S:
            self._write_outbox()
        else:
            self._deliver()

    def _deliver(self) -> None:
        try:
            while self._pending:
                self.client.log_batch(self.run_id, metrics=self._pending[:BATCH])
                del self._pending[:BATCH]
            self._clear_outbox()
        except (MlflowException, OSError) as error:
            self._keep(error)

    def params(self, params: Mapping[str, Any]) -> None:
        """Log ``params``; those that the run already has keep the spelling that they have."""
        known = self.client.get_run(self.run_id).data.params
        fresh = [Param(k, str(v)[:LONGEST_PARAM]) for k, v in params.items() if k not in known]
        self.client.log_batch(self.run_id, params=fresh)

    def tags(self, tags: Mapping[str, Any]) -> None:
        """Set ``tags``."""
        self.client.log_batch(self.run_id, tags=[RunTag(k, str(v)) for k, v in tags.items()])

    def file(self, path: Path, folder: str | None = None) -> None:
        """Keep a copy of the file as an artifact."""
        self.client.log_artifact(self.run_id, str(path), folder)

    def folder_of_files(self, local: Path, folder: str) -> None:
        """Keep copies of all files of ``local`` as artifacts under ``folder``."""
        self.client.log_artifacts(self.run_id, str(local), folder)

    def text(self, text: str, name: str) -> None:
        """Keep ``text`` as the artifact ``name``."""
        self.client.log_text(self.run_id, text, name)

    def finish(self, status: str = "FINISHED") -> None:
        """End the run as ``FINISHED``, ``FAILED`` or ``KILLED``, everything buffered sent first."""
        self._deliver()
        if not self.away:
            try:
                self.client.set_terminated(self.run_id, status)
                if status == "KILLED" and os.environ.get("MLFLOW_RUN_ID") == self.run_id:
                    run_finalizer.later("kill", self.run_id, self.client.tracking_uri)
            except (MlflowException, OSError) as error:
                self._keep(error)

    def fail(self, error: BaseException) -> None:
        """End the run as ``FAILED`` with the error's first line as a tag."""
        if not self.away:
            with contextlib.suppress(MlflowException, OSError):
                self.tags({"error": first_line(error), **getattr(error, "tags", {})})
        with contextlib.suppress(OSError):  # on a full disk not even this can be kept; the error is raised anew anyway
            self.finish("FAILED")

    def known_tags(self) -> dict[str, str]:
        """The tags that the run has in the store."""
        return dict(self.client.get_run(self.run_id).data.tags)

    def require_server(self, patience_s: float = PATIENCE_S) -> None:
        """Wait until everything buffered is delivered.

        Raises:
            TrackingAway: the server stays away for ``patience_s``.
        """
        self._deliver()
        until = time.monotonic() + patience_s
        while self.away and time.monotonic() < until:
            time.sleep(1)
            self._deliver()
        if self.away:
            raise TrackingUnavailable(
                "The tracking server is still away. Training is finished: weights and metrics are kept in "
                f"{self.folder}. When the server is back, run again with -P resume={self.run_id} "
                "to evaluate and register."
            )

    def datasets(self, rows: Sequence[tuple[str, str, str, int, str]]) -> None:
        """Record the data sets used, as (name, digest, source, number of rows, context)."""
        inputs = [
            DatasetInput(
                Dataset(name, digest, "local", json.dumps({"uri": source}), profile=json.dumps({"num_rows": count})),
                [InputTag("mlflow.data.context", context)],
            )
            for name, digest, source, count, context in rows
        ]
        for trial in range(TRIALS):
            try:
                return self.client.log_inputs(self.run_id, inputs)
            except MlflowException as error:  # MLflow looks first and inserts then; another run may do so in between
                if trial == TRIALS - 1 or not re.search("unique|duplicate", str(error), re.IGNORECASE):
                    raise

    def table(self, records: Sequence[Mapping[str, str]], name: str) -> None:
        """Keep ``records`` as an MLflow table, which the UI shows and compares, in the place of an earlier one."""
        columns = {key: [record[key] for record in records] for key in records[0]}
        if name in {entry.path for entry in self.client.list_artifacts(self.run_id, os.path.dirname(name) or None)}:
            rows = [list(record.values()) for record in records]  # log_table would add to it: a resumed run has one
            self.text(json.dumps({"columns": list(columns), "data": rows}), name)
        else:
            self.client.log_table(self.run_id, columns, name)

    def history(self, key: str) -> list[tuple[int, float]]:
        """Every logged ``(step, value)`` of a metric, in order of steps."""
        return sorted({m.step: m.value for m in self.client.get_metric_history(self.run_id, key)}.items())

    def discard(self) -> None:
        """Remove the run's own folder: what it held is in the store now."""
        if not self.away:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _keep(self, error: Exception) -> None:
        if not self.away:
            reason = str(error).splitlines()[0][:120]
            print(f"The tracking server is away ({reason}). Training goes on; what is logged is kept in {self.folder}.")
        self.away, self._tried_s = True, time.monotonic()
        self._write_outbox()

    def _write_outbox(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / OUTBOX).open("w") as out:
            for m in self._pending:
                out.write(json.dumps([m.key, m.value, m.timestamp, m.step]) + "\n")

    def _clear_outbox(self) -> None:
        if self.away:
            print("The tracking server is back: everything kept has been delivered.")
        self.away = False
        (self.folder / OUTBOX).unlink(missing_ok=True)

    def load_outbox(self) -> None:
        """Take up what an earlier process could not deliver."""
        path = self.folder / OUTBOX
        if path.is_file():
            for line in path.read_text().splitlines():
                key, value, timestamp, step = json.loads(line)
                if step > self._sent.get(key, -1):
                    self._pending.append(Metric(key, value, timestamp, step))
            for m in self._pending:  # the steps since the last resume point are trained again: not twice in here
                self._sent[m.key] = max(m.step, self._sent.get(m.key, -1))


class NullRun(Run):
    """The run of a process that only helps to train: it takes everything and writes nothing."""

    def __init__(self, run_id: str, folder: Path):
        self.run_id, self.folder, self.away = run_id, folder, False

    def log(self, step: int, metrics: Mapping[str, float], at_ms: int = 0) -> None: ...
    def flush(self) -> None: ...
    def tags(self, tags: Mapping[str, Any]) -> None: ...
    def finish(self, status: str = "FINISHED") -> None: ...
    def fail(self, error: BaseException) -> None: ...
    def discard(self) -> None: ...


def start(name: str, outputs: Path) -> Run:
    """Begin a run called ``name``, or take the one that ``mlflow run`` made for this process.

    Raises:
        TrackingAway: the tracking server does not answer.
    """
    client = MlflowClient()
    try:
        given = os.environ.get("MLFLOW_RUN_ID")
        if given:
            client.update_run(given, status="RUNNING", name=name)
            return Run(client, given, outputs / given)
        run_id = client.create_run(experiment_id(client), run_name=name).info.run_id
        return Run(client, run_id, outputs / run_id)
    except (MlflowException, OSError) as error:
        raise TrackingUnavailable(f"no run could be started at {client.tracking_uri}: {first_line(error)}") from error


def experiment_id(client: MlflowClient, name: str = EXPERIMENT) -> str:
    """The id of the experiment called ``name``, which is made where there is none."""
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return client.create_experiment(name)
        except MlflowException:  # two processes begin at once in an empty store, and the other one was first
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return found.experiment_id


def watch(run_id: str, folder: Path) -> Run:
    """The run ``run_id``, to add metrics and files to it while others may do so too; its status stays as it is.

    ``folder`` takes the place of the run's own.

    Raises:
        UserError: there is no such run.
    """
    client = MlflowClient()
    try:
        client.get_run(run_id)
    except (MlflowException, OSError) as error:
        raise UserError(f"run_id={run_id}: no such run at {client.tracking_uri} ({first_line(error)})") from error
    return Run(client, run_id, folder)


def reopen(run_id: str, outputs: Path) -> Run:
    """Go on with run ``run_id``; metrics that the store already has at a step are not sent twice.

    The empty run that ``mlflow run`` made for this process is removed once that has ended: one run is left, this one.

    Raises:
        UserError: there is no such run.
    """
    client = MlflowClient()
    try:
        found = client.get_run(run_id)
    except MlflowException as error:
        if is_away(error):
            raise TrackingUnavailable(
                f"resume={run_id}: {client.tracking_uri} does not answer: {first_line(error)}"
            ) from error
        raise UserError(f"resume={run_id}: no such run at {client.tracking_uri} ({first_line(error)})") from error
    given = os.environ.get("MLFLOW_RUN_ID")
    if given and given != run_id:
        client.set_tag(given, "resumed_run", run_id)
        run_finalizer.later("remove", given, client.tracking_uri)
    client.update_run(run_id, status="RUNNING")
    sent = {key: max(m.step for m in client.get_metric_history(run_id, key)) for key in found.data.metrics}
    run = Run(client, run_id, outputs / run_id, sent)
    run.load_outbox()
    return run


def find(name: str) -> str:
    """The id of the newest run called ``name`` in Parley's experiment; empty where there is none.

    Raises:
        TrackingAway: the tracking server does not answer.
    """
    client = MlflowClient()
    try:
        found = client.search_runs([experiment_id(client)], f"attributes.run_name = '{name}'", max_results=1)
    except (MlflowException, OSError) as error:
        raise TrackingUnavailable(f"{client.tracking_uri} does not answer: {first_line(error)}") from error
    return found[0].info.run_id if found else ""


def open_store() -> str:
    """Make the store's tables where there are none, before several processes would at once; returns what is wrong."""
    client = MlflowClient()
    try:
        experiment_id(client)
    except (MlflowException, OSError) as error:
        return first_line(error)
    return ""


def end(run_id: str, status: str) -> None:
    """Set the status of a run whose process is gone; where the server is away it stays as it is."""
    with contextlib.suppress(MlflowException, OSError):
        MlflowClient().set_terminated(run_id, status)


def discard_given() -> None:
    """Remove the empty run that ``mlflow run`` made for this process, if it was started so."""
    given = os.environ.get("MLFLOW_RUN_ID")
    if given:
        client = MlflowClient()
        client.delete_run(given)
        atexit.register(client.restore_run, given)  # for mlflow run, which ends by setting its status and would fail
        run_finalizer.later("remove", given, client.tracking_uri)


def is_away(error: BaseException | None) -> bool:
    """True where ``error`` comes from a server that could not be reached, however often it was wrapped."""
    while error is not None:
        if isinstance(error, RequestException):
            return True
        error = error.__cause__ or error.__context__
    return False
