"""Following a run's job without the run's folder: what the store has is not written twice, wherever it came from."""

import json
from collections.abc import Iterator

from openai_jobs import events
from openai_jobs.event_metrics import Correction
from openai_jobs.events import EventReader
from openai_jobs.jobs import JobClient
from registry.runs import Run

#: Tags of a run: how its label's tokens and hidden ones are counted, for the corrected curves.
CORRECTION_TAG = "openai_correction"


def watch(run: Run, desk: JobClient, job_id: str) -> Iterator[str]:
    """Follow the job to its end; metrics, files and checkpoints go to the run. ``desk.tell`` takes the news.

    Raises:
        UserError: the job failed, or the server stays away.
    """
    known = json.loads(run.known_tags().get(CORRECTION_TAG) or "{}")
    correction = Correction(float(known.get("label_tokens", 1.0)), int(known.get("hidden", 0)))
    book = EventReader(run, run.folder / "events.jsonl", correction)
    job = events.follow(desk, job_id, book)
    events.require_success(job)
    rows = events.result_rows(desk, job, run.folder / "step_metrics.csv")
    events.log_missing(run, rows, correction, job.finished_at or job.created_at)
    events.keep(run, job, events.checkpoints(desk, job_id), run.folder)
    yield f"Model   {job.fine_tuned_model}"
    tags = run.known_tags()
    if "registered_version" not in tags:
        yield f"Next    mlflow run . -e noisy -P resume={run.run_id}   asks and registers it, where the run was started"


def correction_tag(correction: Correction) -> dict[str, str]:
    """What ``watch`` reads."""
    return {CORRECTION_TAG: json.dumps({"label_tokens": correction.label_tokens, "hidden": correction.hidden})}
