"""Following a job until it has ended, and storing its events, checkpoints and result file in the run."""

import base64
import binascii
import csv
import io
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.errors import UserError
from openai_jobs import jobs
from openai_jobs.endpoint import ApiError, redact, translate_errors
from openai_jobs.events import Correction, EventReader, EventRecord, messages, metrics_of, new_events, step_of
from openai_jobs.jobs import ENDED, JobClient
from registry.runs import Run

if TYPE_CHECKING:
    from openai.types.fine_tuning import FineTuningJob

#: Seconds between requests for a job's status: the first at its beginning, growing to the second where events arrive
#: and to the third where none do.
SHORTEST_S, BUSY_S, LONGEST_S, GROWTH = 0.5, 2.0, 15.0, 1.4
#: Seconds between two lines about a job whose status stays the same.
LINE_S = 10.0
#: Seconds without a server before following it is given up; the job goes on there.
UNREACHABLE_S = 900.0
#: The folder of a run's artifacts for everything about the API.
ARTIFACTS = "openai"
#: Tag of a run: how tokens of the label and hidden ones are counted, for the corrected curves.
CORRECTION_TAG = "openai_correction"


def watch(run: Run, client: JobClient, job_id: str) -> Iterator[str]:
    """Follow the job of a run to its end without the run's folder; the store keeps what it has once.

    Raises:
        UserError: the job failed, or the server can't be reached for ``UNREACHABLE_S``.
    """
    known = json.loads(run.known_tags().get(CORRECTION_TAG) or "{}")
    correction = Correction(float(known.get("label_tokens", 1.0)), int(known.get("hidden", 0)))
    job = follow(client, job_id, EventReader(run, run.folder / "events.jsonl", correction))
    require_success(job)
    rows = result_rows(client, job, run.folder / "step_metrics.csv")
    log_missing(run, rows, correction, job.finished_at or job.created_at)
    log_artifacts(run, job, checkpoints(client, job_id), run.folder)
    yield f"Model   {job.fine_tuned_model}"
    tags = run.known_tags()
    if "registered_version" not in tags:
        yield (
            f"Next    mlflow run . -e {jobs.entry_of(tags)} -P resume={run.run_id}   evaluates and registers it, on "
            "the machine where the run was started"
        )


def correction_tag(correction: Correction) -> dict[str, str]:
    """The tag that ``watch`` reads the correction from."""
    return {CORRECTION_TAG: json.dumps({"label_tokens": correction.label_tokens, "hidden": correction.hidden})}


def follow(client: JobClient, job_id: str, reader: EventReader) -> "FineTuningJob":
    """Request the job's status and events until it has ended; returns it as it is then.

    Raises:
        UserError: the server can't be reached for ``UNREACHABLE_S``; the job goes on there.
    """
    wait_s, unreachable_s, unprinted_s, shown = SHORTEST_S, 0.0, 0.0, ("", "")
    while True:
        try:
            job = jobs.retrieve(client, job_id)
            fresh = reader.add(new_events(client, job_id, reader.last_id))
        except ApiError as error:
            if not error.is_temporary:
                raise
            unreachable_s = _wait_for_server(client, job_id, error, unreachable_s)
            continue
        unreachable_s = 0.0
        for message in messages(fresh):
            client.output(f"Event   {message}")
        line = progress_line(job, reader.events)
        if job.status != shown[0] or (line != shown[1] and unprinted_s >= LINE_S):
            client.output(f"Job     {line}")
            unprinted_s, shown = 0.0, (job.status, line)
        if job.status in ENDED:
            return job
        client.pause(wait_s)
        unprinted_s, wait_s = unprinted_s + wait_s, min(BUSY_S if fresh else LONGEST_S, wait_s * GROWTH)


def _wait_for_server(client: JobClient, job_id: str, error: ApiError, unreachable_s: float) -> float:
    if not unreachable_s:
        client.output(f"Note    {error}; it is tried again for {format_duration(UNREACHABLE_S)}")
    if unreachable_s >= UNREACHABLE_S:
        raise UserError(
            f"{error}, for {format_duration(unreachable_s)} now. {job_id} goes on there; go on with resume, or watch "
            "it by -e monitor"
        )
    client.pause(LONGEST_S)
    return unreachable_s + LONGEST_S


def progress_line(job: "FineTuningJob", events: Sequence[EventRecord], now_s: float | None = None) -> str:
    """One line on a job: status, step, training loss, and the time left as far as it can be estimated."""
    parts = [f"{job.id} {job.status.replace('_', ' ')}"]
    last = next((event for event in reversed(events) if step_of(event["data"]) is not None), None)
    now_s = time.time() if now_s is None else now_s
    left_s = job.estimated_finish - now_s if job.estimated_finish else None
    if last:
        step, steps = step_of(last["data"]) or 0, (last["data"] or {}).get("total_steps")
        parts.append(f"step {step:,}" + (f" of {steps:,}" if isinstance(steps, int) else ""))
        loss = metrics_of(last["data"]).get("train/loss")
        parts += [f"training loss {loss:.3f}"] if loss is not None else []
        if left_s is None and isinstance(steps, int):
            left_s = _extrapolated_s(events, last, steps)
    if left_s is not None and left_s > 0 and job.status not in ENDED:
        parts.append(f"about {format_duration(left_s)} left")
    return ", ".join(parts)


def _extrapolated_s(events: Sequence[EventRecord], last: EventRecord, steps: int) -> float | None:
    first = next(event for event in events if step_of(event["data"]) is not None)
    done = (step_of(last["data"]) or 0) - (step_of(first["data"]) or 0)
    spent_s = last["created_at"] - first["created_at"]
    return spent_s / done * (steps - (step_of(last["data"]) or 0)) if done > 0 and spent_s > 0 else None


def format_duration(seconds: float) -> str:
    """``40 s``, ``3 min`` or ``1 h 20 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def require_success(job: "FineTuningJob") -> None:
    """Stop where a job failed or was cancelled.

    Raises:
        UserError: with the reason.
    """
    if job.status != "succeeded" or not job.fine_tuned_model:
        status = job.status if job.status != "succeeded" else "succeeded but names no model"
        reason = failure_reason(job)
        raise UserError(f"the job {job.id} {status}: {reason}; nothing was registered. A new run makes a new job")


def failure_reason(job: "FineTuningJob") -> str:
    """Why a job did not succeed. The real API sends an error object full of nulls for healthy jobs."""
    error = job.error
    if error and error.code:
        where = f" ({error.param})" if error.param else ""
        return f"{error.code}{where}: {redact(str(error.message or 'no reason given'))}"
    if job.status == "cancelled":
        return "somebody cancelled it"
    return "the server gives no reason"


def checkpoints(client: JobClient, job_id: str) -> dict[int, dict[str, Any]]:
    """The job's checkpoints by step, ascending: ``model`` and ``metrics``; empty where the server has none."""
    found = {}
    try:
        with translate_errors(client.endpoint, f"list the checkpoints of {job_id}"):
            for each in client.sdk.fine_tuning.jobs.checkpoints.list(job_id):
                metrics = metrics_of(each.metrics.to_dict() if each.metrics else None)
                found[int(each.step_number)] = {"model": each.fine_tuned_model_checkpoint, "metrics": metrics}
    except ApiError as error:
        client.output(f"Note    no checkpoints of the job can be had: {error}")
        return {}
    return dict(sorted(found.items()))


def result_rows(client: JobClient, job: "FineTuningJob", path: Path) -> list[dict[str, float | None]]:
    """The rows of the job's result file, which is written to ``path``; empty where no file can be read."""
    for file_id in job.result_files or ():
        try:
            with translate_errors(client.endpoint, f"download the result file {file_id}"):
                raw = client.sdk.files.content(file_id).read()
        except ApiError as error:
            client.output(f"Note    the result file can't be had: {error}")
            continue
        text = decode_result_file(raw)
        path.write_text(text, encoding="utf-8")
        rows = [dict(row) for row in csv.DictReader(io.StringIO(text))]
        return [{key: _number(value) for key, value in row.items() if key} for row in rows]
    return []


def decode_result_file(raw: bytes) -> str:
    """The CSV in a result file, which some servers send as base64."""
    try:
        text = base64.b64decode(raw.strip(), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return raw.decode("utf-8-sig", errors="replace")
    return text if "step" in text.partition("\n")[0] else raw.decode("utf-8-sig", errors="replace")


def _number(text: Any) -> float | None:
    try:
        return float(text)
    except (TypeError, ValueError):
        return None


def log_missing(run: Run, rows: Sequence[dict[str, float | None]], correction: Correction, at_s: int) -> int:
    """Log the metrics of the result file that no event had, with the time ``at_s``; returns their number."""
    logged: dict[str, set[int]] = {}
    added = 0
    for row in rows:
        step = step_of(row)
        if step is None:
            continue
        for key, value in metrics_of(row).items():
            if key not in logged:
                logged[key] = {at for at, _ in run.history(key)}
            if step not in logged[key]:
                run.log(step, {key: value, **correction.of({key: value})}, at_s * 1000)
                added += 1
    run.flush()
    return added


def log_artifacts(run: Run, job: "FineTuningJob", kept: dict[int, dict[str, Any]], folder: Path) -> None:
    """Log the job, its checkpoints, events and result file as artifacts of the run."""
    (folder / "job.json").write_text(json.dumps(jobs.to_record(job), indent=1))
    (folder / "checkpoints.json").write_text(json.dumps(kept, indent=1))
    for name in ("job.json", "checkpoints.json", "events.jsonl", "step_metrics.csv"):
        if (folder / name).is_file():
            run.file(folder / name, ARTIFACTS)
    run.tags({"fine_tuned_model": job.fine_tuned_model})
