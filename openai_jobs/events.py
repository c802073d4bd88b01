"""Following a job to its end: every event once and in order, into the run's metrics and a file of events."""

import base64
import binascii
import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data.errors import UserError
from openai_jobs.endpoint import ApiError, spoken
from openai_jobs.event_metrics import (
    ENDED,
    Correction,
    failure,
    in_words,
    messages,
    metrics_of,
    new_events,
    plain,
    progress,
    step_of,
)
from openai_jobs.exactly_once import append
from openai_jobs.jobs import JobClient
from openai_jobs.jobs import plain as plain_job
from registry.runs import Run

#: Seconds between looks at a job: the first at its beginning, growing to the second where something happens and to the
#: third where nothing does.
SHORTEST_S, BUSY_S, LONGEST_S, GROWTH = 0.5, 2.0, 15.0, 1.4
#: Seconds between two lines about a job whose status stays the same.
SAY_S = 10.0
#: How long a server may be away before whoever follows gives up; the job goes on without.
AWAY_S = 900.0
#: The folder of a run's artifacts where everything about the API lies.
ARTIFACTS = "openai"


class EventReader:
    """The events of a job, kept in ``path`` and in the run's metrics, each once however often this is started anew.

    Metrics have their event's own time, so that the store takes one that it has for the same one and keeps it once.
    """

    def __init__(self, run: Run, path: Path, correction: Correction):
        self.run, self.path, self.correction = run, path, correction
        self.events: list[dict[str, Any]] = []
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
            try:
                self.events.append(json.loads(line))
            except ValueError:  # a torn line: its event is told again
                continue
        self._known = {event["id"] for event in self.events}
        self._steps: dict[str, int] = {}
        for event in self.events:
            self._fresh(event)

    @property
    def last(self) -> str:
        """The id of the last event, empty where there is none."""
        return self.events[-1]["id"] if self.events else ""

    @property
    def steps(self) -> list[int]:
        """The last step that anything was told of, by metric."""
        return list(self._steps.values())

    def take(self, events: Sequence[Any]) -> list[dict[str, Any]]:
        """Keep those that are new and return them; metrics go first, for what is in the file is not sent again."""
        fresh = [plain(event) for event in events if event.id not in self._known]
        for event in fresh:
            step, metrics = step_of(event["data"]), self._fresh(event)
            if step is not None and metrics:
                self.run.log(step, {**metrics, **self.correction.of(metrics)}, event["created_at"] * 1000)
        if fresh:
            self.run.flush()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            append(self.path, [json.dumps(event, ensure_ascii=False) for event in fresh])
        self.events += fresh
        self._known |= {event["id"] for event in fresh}
        return fresh

    def _fresh(self, event: dict[str, Any]) -> dict[str, float]:
        """The event's metrics at steps that they don't have yet: a job that went on from a checkpoint repeats some."""
        step = step_of(event["data"])
        if step is None:
            return {}
        found = {key: v for key, v in metrics_of(event["data"]).items() if step > self._steps.get(key, -1)}
        self._steps.update(dict.fromkeys(found, step))
        return found


def follow(desk: JobClient, job_id: str, book: EventReader) -> Any:
    """Look at the job until it has ended, and return it as it is then.

    Raises:
        UserError: the server stays away; the job goes on there.
    """
    wait_s, away_s, silent_s, shown = SHORTEST_S, 0.0, 0.0, ("", "")
    while True:
        try:
            with spoken(desk.endpoint, f"tell of {job_id}"):
                job = desk.client.fine_tuning.jobs.retrieve(job_id)
            fresh = book.take(new_events(desk.client, desk.endpoint, job_id, book.last))
        except ApiError as error:
            if error.certain and error.status != 429:
                raise
            away_s = _wait_for(desk, job_id, error, away_s)
            continue
        away_s = 0.0
        for line in messages(fresh):
            desk.tell(f"Event   {line}")
        line = progress(job, book.events)
        if job.status != shown[0] or (line != shown[1] and silent_s >= SAY_S):
            desk.tell(f"Job     {line}")
            silent_s, shown = 0.0, (job.status, line)
        if job.status in ENDED:
            return job
        desk.pause(wait_s)
        silent_s, wait_s = silent_s + wait_s, min(BUSY_S if fresh else LONGEST_S, wait_s * GROWTH)


def _wait_for(desk: JobClient, job_id: str, error: ApiError, away_s: float) -> float:
    if not away_s:
        desk.tell(f"Note    {error}; it is asked again for {in_words(AWAY_S)}")
    if away_s >= AWAY_S:
        raise UserError(
            f"{error}, for {in_words(away_s)} now. {job_id} goes on there; go on with resume, or watch it by -e monitor"
        )
    desk.pause(LONGEST_S)
    return away_s + LONGEST_S


def require_success(job: Any) -> None:
    """Stop where a job failed or was cancelled.

    Raises:
        UserError: with the reason.
    """
    if job.status != "succeeded" or not job.fine_tuned_model:
        word = job.status if job.status != "succeeded" else "succeeded but names no model"
        raise UserError(f"the job {job.id} {word}: {failure(job)}; nothing was registered. A new run makes a new job")


def checkpoints(desk: JobClient, job_id: str) -> dict[int, dict[str, Any]]:
    """The job's checkpoints by step, ascending: ``model`` and ``metrics``; none where the server keeps none."""
    found = {}
    try:
        with spoken(desk.endpoint, f"list the checkpoints of {job_id}"):
            for each in desk.client.fine_tuning.jobs.checkpoints.list(job_id):
                metrics = metrics_of(each.metrics.to_dict() if each.metrics else None)
                found[int(each.step_number)] = {"model": each.fine_tuned_model_checkpoint, "metrics": metrics}
    except ApiError as error:
        desk.tell(f"Note    no checkpoints of the job can be had: {error}")
        return {}
    return dict(sorted(found.items()))


def result_rows(desk: JobClient, job: Any, path: Path) -> list[dict[str, Any]]:
    """The lines of the job's result file, which is kept at ``path``; none where there is no file that can be read."""
    for file_id in job.result_files or ():
        try:
            with spoken(desk.endpoint, f"give the result file {file_id}"):
                raw = desk.client.files.content(file_id).read()
        except ApiError as error:
            desk.tell(f"Note    the result file can't be had: {error}")
            continue
        text = decoded(raw)
        path.write_text(text, encoding="utf-8")
        rows = [dict(row) for row in csv.DictReader(io.StringIO(text))]
        return [{key: _number(value) for key, value in row.items() if key} for row in rows]
    return []


def decoded(raw: bytes) -> str:
    """The CSV in a result file, which some servers send as base64."""
    try:
        plain_text = base64.b64decode(raw.strip(), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return raw.decode("utf-8-sig", errors="replace")
    return plain_text if "step" in plain_text.partition("\n")[0] else raw.decode("utf-8-sig", errors="replace")


def _number(text: Any) -> float | None:
    try:
        return float(text)
    except (TypeError, ValueError):
        return None


def log_missing(run: Run, rows: Sequence[dict[str, Any]], correction: Correction, at_s: int) -> int:
    """Log what the result file has and the events had not; returns how many points that were."""
    known: dict[str, set[int]] = {}
    added = 0
    for row in rows:
        step = step_of(row)
        if step is None:
            continue
        for key, value in metrics_of(row).items():
            if key not in known:
                known[key] = {at for at, _ in run.history(key)}
            if step not in known[key]:
                run.log(step, {key: value, **correction.of({key: value})}, at_s * 1000)
                added += 1
    run.flush()
    return added


def keep(run: Run, job: Any, kept: dict[int, dict[str, Any]], folder: Path) -> None:
    """Keep the job, its checkpoints, events and result file as artifacts of the run."""
    (folder / "job.json").write_text(json.dumps(plain_job(job), indent=1))
    (folder / "checkpoints.json").write_text(json.dumps(kept, indent=1))
    for name in ("job.json", "checkpoints.json", "events.jsonl", "step_metrics.csv"):
        if (folder / name).is_file():
            run.file(folder / name, ARTIFACTS)
    run.tags({"fine_tuned_model": job.fine_tuned_model})
