"""A fine-tuning job at an OpenAI-compatible API: files uploaded once, the job made once, found again, cancelled.

A run has one job. What ties them together lies on the server: the run's id in the names of the files and in the job's
metadata. Every function takes the client that it speaks through.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.errors import UserError
from openai_jobs.endpoint import KNOWN, UPLOAD_TIMEOUT_S, ApiError, Endpoint, closed, scrubbed, spoken
from openai_jobs.exactly_once import IdempotencyLog, Pause, once

#: The key of the job's metadata that holds the run's id.
MARK = "parley_run"
#: Tags of a run: the id of its job, and where that is.
JOB_TAG, ADDRESS_TAG = "openai_job", "openai_address"
#: The address of a server that nobody but the run can reach.
PRIVATE = "private"
MOST_SUFFIX = 64
PAGE = 100
Tell = Callable[[str], None]


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


@dataclass(frozen=True)
class JobRequest:
    """A job as it is asked for. ``files``: ids of the training and the validation file, the second may be empty."""

    run_id: str
    model: str
    files: tuple[str, str]
    n_epochs: int
    hyperparameters: Mapping[str, Any]
    seed: int
    suffix: str
    metadata: Mapping[str, str]

    def body(self) -> dict[str, Any]:
        """What ``jobs.create`` is given.

        Hosts that know more hyperparameters than OpenAI take all of them where OpenAI once did, beside the method.
        """
        given = {"n_epochs": self.n_epochs, **self.hyperparameters}
        body: dict[str, Any] = {"model": self.model, "training_file": self.files[0], "seed": self.seed}
        if set(self.hyperparameters) <= set(KNOWN):
            given = {**dict.fromkeys(KNOWN, "auto"), **given}
            body["method"] = {"type": "supervised", "supervised": {"hyperparameters": given}}
        else:
            body["hyperparameters"] = given
        if self.files[1]:
            body["validation_file"] = self.files[1]
        return {**body, "suffix": self.suffix[:MOST_SUFFIX], "metadata": {**self.metadata, MARK: self.run_id}}


@dataclass
class JobClient:
    """Where jobs are handed in: the client, whose it is, what was begun, and how to wait and to tell."""

    client: Any
    endpoint: Endpoint
    ledger: IdempotencyLog
    tell: Tell = say
    pause: Pause = time.sleep


def upload(desk: JobClient, path: Path, name: str, purpose: str = "fine-tune") -> str:
    """The id of the file ``name``, which is uploaded from ``path`` unless the server has it.

    Raises:
        Refused: the server does not take it, or its own check failed.
    """

    def look() -> Any:
        try:
            with spoken(desk.endpoint, "list files"):
                pages = desk.client.files.list(purpose=purpose)
                return _oldest(each for each in pages if each.filename == name and each.status != "error")
        except ApiError as error:
            if not error.is_missing:
                raise
            return None  # a file that is there twice costs nothing

    def make() -> Any:
        client = desk.client.with_options(max_retries=0, timeout=UPLOAD_TIMEOUT_S)
        with spoken(desk.endpoint, f"take the file {path.name}"), path.open("rb") as stream:
            return client.files.create(file=(name, stream, "application/jsonl"), purpose=purpose)

    found = once(f"file {name}", look, make, desk.ledger, desk.pause)
    if getattr(found, "bytes", None) not in (None, path.stat().st_size):
        raise UserError(
            f"{desk.endpoint.name} has {name} with {found.bytes:,} bytes, not {path.stat().st_size:,}; delete it there"
        )
    return found.id


def submit(desk: JobClient, order: JobRequest) -> Any:
    """The run's job, made unless there is one.

    Raises:
        UserError: jobs are closed for this key, or the server refuses this one.
    """

    def make() -> Any:
        client = desk.client.with_options(max_retries=0)
        headers = {"Idempotency-Key": f"{MARK}-{order.run_id}"}  # OpenAI ignores it, others need not
        with spoken(desk.endpoint, f"start a job on {order.model}"):
            return client.fine_tuning.jobs.create(**body, extra_headers=headers)

    body = order.body()
    for _ in range(2):
        try:
            return once("job", lambda: find(desk, order.run_id, order.files[0]), make, desk.ledger, desk.pause)
        except ApiError as error:
            if error.status == 403:
                raise closed(desk.endpoint, error) from None
            if error.status not in (400, 422) or "metadata" not in error.reason or "metadata" not in body:
                raise
            desk.tell(f"Note    {desk.endpoint.name} takes no metadata; the job is known by its training file")
            del body["metadata"]
    raise AssertionError("unreachable")


def find(desk: JobClient, run_id: str, file_id: str = "") -> Any:
    """The job of a run, by its metadata or its training file; None where the server has none.

    Raises:
        Refused: the server can't be asked for its jobs, so that none may be made.
    """

    def is_it(job: Any) -> bool:
        return (job.metadata or {}).get(MARK) == run_id or bool(file_id) and job.training_file == file_id

    def listed(**wanted: Any) -> Any:
        with spoken(desk.endpoint, "list jobs"):
            return _oldest(filter(is_it, desk.client.fine_tuning.jobs.list(limit=PAGE, **wanted)))

    try:
        return listed(metadata={MARK: run_id}) or listed()
    except ApiError as error:
        if error.status in (400, 422):  # it can't be asked for metadata
            return listed()
        if error.is_missing and desk.ledger.age_s("job") is None:
            desk.tell(
                f"Note    {desk.endpoint.name} lists no jobs: only this run's folder knows that there is none yet"
            )
            return None
        if error.is_missing:
            raise UserError(
                f"{desk.endpoint.name} lists no jobs, and one was asked for whose end is unknown: look there "
                "whether it runs; to go on with it, set the run's tag openai_job to its id"
            ) from None
        raise


def retrieve(desk: JobClient, job_id: str) -> Any:
    """The job as it is now."""
    with spoken(desk.endpoint, f"tell of {job_id}"):
        return desk.client.fine_tuning.jobs.retrieve(job_id)


def plain(job: Any) -> dict[str, Any]:
    """A job as it is kept."""
    found = job.to_dict()
    if found.get("error"):
        found["error"] = {key: scrubbed(str(value)) for key, value in found["error"].items() if value is not None}
    return found


def cancel(desk: JobClient, job_id: str) -> Any:
    """Ask the server to cancel the job; returns the job as it is then."""
    with spoken(desk.endpoint, f"cancel {job_id}"):
        return desk.client.fine_tuning.jobs.cancel(job_id)


def _oldest(found: Iterable[Any]) -> Any:
    return min(found, key=lambda each: (each.created_at, each.id), default=None)
