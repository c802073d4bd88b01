"""A run's params, metrics and artifacts in MLflow; nothing else writes them.

Metrics are buffered and sent in batches. A tracking server that does not answer stops no training: what could not be
sent is kept in the run's own folder, tried again, and sent when the run is resumed.
"""

import contextlib
import json
import os
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")

from mlflow.entities import Dataset, DatasetInput, InputTag, Param, RunTag  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402
from mlflow.tracking import MlflowClient  # noqa: E402

from data.errors import UserError, first_line  # noqa: E402
from registry import project_run  # noqa: E402
from registry.errors import TrackingUnavailable, is_unreachable  # noqa: E402
from registry.experiment import DEFAULT_EXPERIMENT, experiment_id  # noqa: E402
from registry.metric_buffer import MetricBuffer  # noqa: E402
from registry.store import is_writable, retry_locked  # noqa: E402

OUTBOX = "outbox.jsonl"
LONGEST_PARAM = 6000
TRIES = 5
EMPTY: Mapping[str, str] = {}
#: A data set: its name, digest, source, number of rows, context.
DataSet = tuple[str, str, str, int, str]
DESCRIPTION, LONGEST_TAG = "mlflow.note.content", 8000
RETRY_S = 15.0  # between two tries to reach the server while training continues: each costs seconds
LIVE_S = 5.0  # metrics wait at most so long, so that a training can be watched
#: How long a finished training waits for the server before it leaves the rest to a resume.
SERVER_TIMEOUT_S = float(os.environ.get("PARLEY_TRACKING_PATIENCE_S", "30"))


class Run:
    """One run that this process writes. Make it with ``start`` or ``reopen``; end it with ``finish``."""

    has_begun = False
    """Whether anything was recorded but params and tags."""

    def __init__(self, client: MlflowClient, run_id: str, folder: Path, sent: dict[str, int] | None = None) -> None:
        self.client = client
        self.run_id = run_id
        self.folder = folder
        self.is_offline = False
        self._buffer = MetricBuffer(folder / OUTBOX, sent)
        self._tried_s = 0.0
        self._sent_s = time.monotonic()

    def log(self, step: int, metrics: Mapping[str, float], at_ms: int = 0) -> None:
        """Buffer ``metrics`` at ``step``, as ``MetricBuffer.add``; every few seconds what is buffered is sent."""
        self.has_begun = True
        self._buffer.add(step, metrics, at_ms)
        if time.monotonic() - self._sent_s >= LIVE_S:
            self.flush()

    def flush(self) -> None:
        """Send what is buffered; where the server does not answer, keep it in the run's folder."""
        if self.is_offline and time.monotonic() - self._tried_s < RETRY_S:
            self._buffer.write()
        else:
            self._send()

    def _send(self) -> None:
        self._sent_s = time.monotonic()
        try:
            retry_locked(lambda: self._buffer.send(self.client, self.run_id))
        except (MlflowException, OSError) as error:
            self._go_offline(error)
            return
        if self.is_offline:
            print("The tracking server is back: everything kept has been delivered.")
        self.is_offline = False

    def _go_offline(self, error: Exception) -> None:
        if not self.is_offline:
            reason = str(error).splitlines()[0][:120]
            print(f"The tracking server does not answer ({reason}).", end=" ")
            print(f"Training continues; metrics are kept in {self.folder}.")
        self.is_offline, self._tried_s = True, time.monotonic()
        self._buffer.write()

    def params(self, params: Mapping[str, Any]) -> None:
        """Log ``params``, but for those that the run already has: a param can't change, not even how it is written."""
        known = self.client.get_run(self.run_id).data.params
        fresh = [Param(k, str(v)[:LONGEST_PARAM]) for k, v in params.items() if k not in known]
        self.client.log_batch(self.run_id, params=fresh)

    def tags(self, tags: Mapping[str, Any]) -> None:
        """Set ``tags``."""
        self.client.log_batch(self.run_id, tags=[RunTag(k, str(v)) for k, v in tags.items()])

    def file(self, path: Path, folder: str | None = None) -> None:
        """Keep a copy of the file as an artifact."""
        self.has_begun = True
        self.client.log_artifact(self.run_id, str(path), folder)

    def folder_of_files(self, local: Path, folder: str) -> None:
        """Keep copies of all files of ``local`` as artifacts under ``folder``."""
        self.client.log_artifacts(self.run_id, str(local), folder)

    def text(self, text: str, name: str) -> None:
        """Keep ``text`` as the artifact ``name``."""
        self.has_begun = True
        self.client.log_text(self.run_id, text, name)

    def finish(self, status: str = "FINISHED") -> None:
        """End the run as ``FINISHED``, ``FAILED`` or ``KILLED``, everything buffered sent first."""
        self._send()
        if not self.is_offline:
            try:
                retry_locked(lambda: self.client.set_terminated(self.run_id, status))
                if status == "KILLED":
                    project_run.keep_killed(self.client, self.run_id)
            except (MlflowException, OSError) as error:
                self._go_offline(error)

    def fail(self, error: BaseException) -> None:
        """End the run as ``FAILED`` with the error's first line as a tag."""
        if not self.is_offline:
            with contextlib.suppress(MlflowException, OSError):
                retry_locked(lambda: self.tags({"error": first_line(error), **getattr(error, "tags", {})}))
        with contextlib.suppress(OSError):  # a full disk; the caller raises the error anyway
            self.finish("FAILED")

    def rename(self, given: str, name: str) -> None:
        """Call the run ``name`` if it is called ``given``: another name was given by a study, a server or a person."""
        if self.known_tags().get("mlflow.runName") == given:
            self.client.update_run(self.run_id, name=name)

    def describe(self, markdown: str, file: str) -> None:
        """Show ``markdown`` on the run's page, as far as a tag can hold it; the artifact ``file`` has all of it."""
        if len(markdown) > LONGEST_TAG:
            rest = f"\n\n... {file} has all of it."
            markdown = markdown[: LONGEST_TAG - len(rest)].rpartition("\n")[0] + rest
        self.tags({DESCRIPTION: markdown})

    def chart(self, path: Path, folder: str) -> None:
        """Show the picture among the run's charts, in the section ``folder``; capitals are sorted first."""
        from PIL import Image

        with Image.open(path) as image:
            self.client.log_image(self.run_id, image, key=f"{folder}/{path.stem}", step=0)

    def refuse(self) -> None:
        """Remove the run and its folder: its input was refused before anything was recorded."""
        with contextlib.suppress(MlflowException, OSError):
            if self.run_id == project_run.given():
                project_run.discard(self.client, self.run_id)
            else:
                retry_locked(lambda: self.client.set_terminated(self.run_id, "FAILED"))
                retry_locked(lambda: self.client.delete_run(self.run_id))
        shutil.rmtree(self.folder, ignore_errors=True)

    def known_tags(self) -> dict[str, str]:
        """The tags that the run has in the store."""
        return dict(self.client.get_run(self.run_id).data.tags)

    def require_server(self, timeout_s: float = SERVER_TIMEOUT_S) -> None:
        """Wait until everything buffered is sent.

        Raises:
            TrackingUnavailable: the server has not answered within ``timeout_s``.
        """
        self._send()
        until = time.monotonic() + timeout_s
        while self.is_offline and time.monotonic() < until:
            time.sleep(1)
            self._send()
        if self.is_offline:
            raise TrackingUnavailable(
                "The tracking server still does not answer. Training is finished: weights and metrics are kept in "
                f"{self.folder}. When the server answers, run again with -P resume={self.run_id} "
                "to evaluate and register."
            )

    def datasets(self, rows: Sequence[DataSet]) -> None:
        """Record the data sets used."""
        inputs = [
            DatasetInput(
                Dataset(name, digest, "local", json.dumps({"uri": source}), profile=json.dumps({"num_rows": count})),
                [InputTag("mlflow.data.context", context)],
            )
            for name, digest, source, count, context in rows
        ]
        for attempt in range(TRIES):
            try:
                return self.client.log_inputs(self.run_id, inputs)
            except MlflowException as error:  # MLflow reads, then inserts; another run may insert in between
                if attempt == TRIES - 1 or not re.search("unique|duplicate", str(error), re.IGNORECASE):
                    raise

    def table(self, records: Sequence[Mapping[str, str]], name: str) -> None:
        """Log ``records`` as an MLflow table, which the UI shows; it replaces an earlier one of that name."""
        columns = {key: [record[key] for record in records] for key in records[0]}
        if name in {entry.path for entry in self.client.list_artifacts(self.run_id, os.path.dirname(name) or None)}:
            rows = [list(record.values()) for record in records]  # log_table would append; a resumed run has one
            self.text(json.dumps({"columns": list(columns), "data": rows}), name)
        else:
            self.client.log_table(self.run_id, columns, name)

    def live_table(self, records: Sequence[Mapping[str, str]], name: str) -> None:
        """Log a table that grows while training goes on; where the server does not answer, nothing happens."""
        if not self.is_offline:
            try:
                self.table(records, name)
            except (MlflowException, OSError) as error:
                self._go_offline(error)

    def history(self, key: str) -> list[tuple[int, float]]:
        """Every logged ``(step, value)`` of a metric, in order of steps."""
        return sorted({m.step: m.value for m in self.client.get_metric_history(self.run_id, key)}.items())

    def discard(self) -> None:
        """Remove the run's own folder: its content is in the store."""
        if not self.is_offline:
            shutil.rmtree(self.folder, ignore_errors=True)

    def read_outbox(self) -> None:
        """Buffer the metrics that an earlier process could not send."""
        self._buffer.read()


def start(name: str, outputs: Path, tags: Mapping[str, str] = EMPTY) -> Run:
    """Start a run called ``name`` with ``tags``, or take the one that ``mlflow run`` made for this process.

    That one is moved to Parley's experiment where it is in MLflow's default one, or where its artifacts can't be
    written (MLflow keeps them in the working folder).

    Raises:
        TrackingUnavailable: the tracking server does not answer.
    """
    client = MlflowClient()
    try:
        given = project_run.given()
        if not given:
            run_id = client.create_run(experiment_id(client), tags=dict(tags), run_name=name).info.run_id
            return Run(client, run_id, outputs / run_id)
        info = client.get_run(given).info
        if info.experiment_id == DEFAULT_EXPERIMENT or not is_writable(info.artifact_uri or ""):
            given = project_run.move(client, given, experiment_id(client))
        client.update_run(given, status="RUNNING", name=name)
        run = Run(client, given, outputs / given)
        run.tags(tags)
        return run
    except (MlflowException, OSError) as error:
        raise TrackingUnavailable(f"no run could be started at {client.tracking_uri}: {first_line(error)}") from error


def watch(run_id: str, folder: Path) -> Run:
    """The run ``run_id``, to add metrics and files while other processes may do so, too; its status stays unchanged.

    ``folder`` is used instead of the run's own.

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
    """Continue run ``run_id``; metrics that the store already has at a step are not sent again.

    The empty run that ``mlflow run`` made for this process is removed after the process has ended.

    Raises:
        UserError: there is no such run.
    """
    client = MlflowClient()
    try:
        found = client.get_run(run_id)
    except MlflowException as error:
        if is_unreachable(error):
            raise TrackingUnavailable(
                f"resume={run_id}: {client.tracking_uri} does not answer: {first_line(error)}"
            ) from error
        raise UserError(f"resume={run_id}: no such run at {client.tracking_uri} ({first_line(error)})") from error
    given = project_run.given()
    if given and given != run_id:
        client.set_tag(given, "resumed_run", run_id)
        project_run.discard(client, given)
    client.update_run(run_id, status="RUNNING")
    sent = {key: max(m.step for m in client.get_metric_history(run_id, key)) for key in found.data.metrics}
    run = Run(client, run_id, outputs / run_id, sent)
    run.has_begun = True
    run.read_outbox()
    return run


def open_store() -> str:
    """Create the store's tables where there are none, before several processes do; returns the error, if any."""
    client = MlflowClient()
    try:
        experiment_id(client)
    except (MlflowException, OSError) as error:
        return first_line(error)
    return ""


def end(run_id: str, status: str) -> None:
    """Set the status of a run whose process has ended; where the server does not answer it stays unchanged."""
    with contextlib.suppress(MlflowException, OSError):
        retry_locked(lambda: MlflowClient().set_terminated(run_id, status))
