"""A fine-tuning job at an OpenAI-compatible API: upload its files, create it once, find it again, cancel it.

A run has one job. Its id ties them together on the server: it is in the names of the files and in the job's metadata.
"""

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.errors import ConfigError, UserError
from openai_jobs import local_server
from openai_jobs.endpoint import (
    OPENAI_HYPERPARAMETERS,
    UPLOAD_TIMEOUT_S,
    ApiError,
    Endpoint,
    from_environment,
    jobs_closed,
    redact,
    translate_errors,
)
from openai_jobs.exactly_once import IdempotencyLog, Pause, once
from registry import runs

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types import FileObject
    from openai.types.fine_tuning import FineTuningJob

#: The key of the job's metadata that holds the run's id.
RUN_KEY = "parley_run"
#: Tags of a run: the id of its job, and the address of the API that has it.
JOB_TAG, ADDRESS_TAG = "openai_job", "openai_address"
#: The address tag of a job at a local server, which only the run itself can reach.
LOCAL = "private"
#: Statuses of a job that has ended.
ENDED = ("succeeded", "failed", "cancelled")
MAX_SUFFIX_CHARS = 64
PAGE = 100
Output = Callable[[str], None]


def print_now(line: str) -> None:
    """Print a line without buffering."""
    print(line, flush=True)


@dataclass(frozen=True)
class JobRequest:
    """The settings of a job. ``files``: ids of the training and the validation file, the second may be empty.

    ``n_epochs`` 0 leaves their number to the API. ``method``: supervised or dpo.
    """

    run_id: str
    model: str
    files: tuple[str, str]
    n_epochs: int
    hyperparameters: Mapping[str, Any]
    seed: int
    suffix: str
    metadata: Mapping[str, str]
    method: str = "supervised"

    def body(self) -> dict[str, Any]:
        """The arguments of ``fine_tuning.jobs.create``.

        Hosts that support more hyperparameters than OpenAI take all of them outside the method, as OpenAI once did.
        """
        given = {"n_epochs": self.n_epochs or "auto", **self.hyperparameters}
        body: dict[str, Any] = {"model": self.model, "training_file": self.files[0], "seed": self.seed}
        if self.method != "supervised" or set(self.hyperparameters) <= set(OPENAI_HYPERPARAMETERS):
            given = {**dict.fromkeys(OPENAI_HYPERPARAMETERS, "auto"), **given}
            body["method"] = {"type": self.method, self.method: {"hyperparameters": given}}
        else:
            body["hyperparameters"] = given
        if self.files[1]:
            body["validation_file"] = self.files[1]
        return {**body, "suffix": self.suffix[:MAX_SUFFIX_CHARS], "metadata": {**self.metadata, RUN_KEY: self.run_id}}


@dataclass
class JobClient:
    """The SDK's client of an endpoint, the log of requests already begun, where lines are printed, and how to wait."""

    sdk: "OpenAI"
    endpoint: Endpoint
    log: IdempotencyLog
    output: Output = print_now
    pause: Pause = time.sleep


def upload(client: JobClient, path: Path, name: str, purpose: str = "fine-tune") -> str:
    """The id of the file ``name``, which is uploaded from ``path`` unless the server has it.

    Raises:
        ApiError: the server refuses it, or its own validation failed.
        UserError: the server has another file of this name.
    """

    def find() -> "FileObject | None":
        try:
            with translate_errors(client.endpoint, "list files"):
                pages = client.sdk.files.list(purpose=purpose)
                return _oldest(each for each in pages if each.filename == name and each.status != "error")
        except ApiError as error:
            if not error.is_missing:
                raise
            return None  # uploading a file twice costs nothing

    def create() -> "FileObject":
        sdk: Any = client.sdk.with_options(max_retries=0, timeout=UPLOAD_TIMEOUT_S)
        with translate_errors(client.endpoint, f"accept the file {path.name}"), path.open("rb") as stream:
            return sdk.files.create(file=(name, stream, "application/jsonl"), purpose=purpose)

    found = once(f"file {name}", find, create, client.log, client.pause)
    if getattr(found, "bytes", None) not in (None, path.stat().st_size):
        raise UserError(
            f"{client.endpoint.name} has {name} with {found.bytes:,} bytes, not {path.stat().st_size:,}; "
            "delete it there"
        )
    return found.id


def submit(client: JobClient, request: JobRequest) -> "FineTuningJob":
    """The run's job, created unless there is one.

    Raises:
        UserError: jobs are closed for this key, or the server refuses this one.
    """

    def create() -> "FineTuningJob":
        sdk = client.sdk.with_options(max_retries=0)
        headers = {"Idempotency-Key": f"{RUN_KEY}-{request.run_id}"}  # ignored by OpenAI, not by all servers
        with translate_errors(client.endpoint, f"start a job on {request.model}"):
            return sdk.fine_tuning.jobs.create(**body, extra_headers=headers)

    body = request.body()
    for _ in range(2):
        try:
            return once("job", lambda: find(client, request.run_id, request.files[0]), create, client.log, client.pause)
        except ApiError as error:
            if error.status == 403:
                raise jobs_closed(client.endpoint, error) from None
            if error.status not in (400, 422) or "metadata" not in error.reason or "metadata" not in body:
                raise
            client.output(
                f"Note    {client.endpoint.name} takes no metadata; the job is found by its training file instead"
            )
            del body["metadata"]
    raise AssertionError("unreachable")


def find(client: JobClient, run_id: str, file_id: str = "") -> "FineTuningJob | None":
    """The job of a run, by its metadata or its training file; None where the server has none.

    Raises:
        ApiError: the server's jobs can't be listed, so that none may be created.
    """

    def is_match(job: "FineTuningJob") -> bool:
        return (job.metadata or {}).get(RUN_KEY) == run_id or bool(file_id) and job.training_file == file_id

    def search(**filters: Any) -> "FineTuningJob | None":
        with translate_errors(client.endpoint, "list jobs"):
            return _oldest(filter(is_match, client.sdk.fine_tuning.jobs.list(limit=PAGE, **filters)))

    try:
        return search(metadata={RUN_KEY: run_id}) or search()
    except ApiError as error:
        if error.status in (400, 422):  # it does not support the filter
            return search()
        if error.is_missing:
            return _without_job_list(client)
        raise


def _without_job_list(client: JobClient) -> None:
    """None where no job was requested yet, by the run's own log.

    Raises:
        UserError: one was requested, and the log does not know the outcome.
    """
    if client.log.age_s("job") is not None:
        raise UserError(
            f"{client.endpoint.name} lists no jobs, and one was requested whose outcome is unknown: look there "
            "whether it runs; to go on with it, set the run's tag openai_job to its id"
        ) from None
    client.output(f"Note    {client.endpoint.name} lists no jobs: only this run's folder shows that there is none yet")


def retrieve(client: JobClient, job_id: str) -> "FineTuningJob":
    """The job as it is now."""
    with translate_errors(client.endpoint, f"retrieve {job_id}"):
        return client.sdk.fine_tuning.jobs.retrieve(job_id)


def cancel(client: JobClient, job_id: str) -> "FineTuningJob":
    """Cancel the job; returns it as it is then."""
    with translate_errors(client.endpoint, f"cancel {job_id}"):
        return client.sdk.fine_tuning.jobs.cancel(job_id)


def to_record(job: "FineTuningJob") -> dict[str, Any]:
    """The job as JSON values, without keys in its error."""
    found = job.to_dict()
    error = found.get("error")
    if isinstance(error, Mapping):
        found["error"] = {key: redact(str(value)) for key, value in error.items() if value is not None}
    return found


def _oldest(found: Iterable[Any]) -> Any:
    return min(found, key=lambda each: (each.created_at, each.id), default=None)


@contextmanager
def job_of_run(run_id: str, outputs: Path = Path("outputs")) -> "Iterator[tuple[runs.Run, JobClient, str]]":
    """(the run, a client of the API that has its job, the job's id), on any machine: the run's folder is not needed.

    The job is found by the run's tags, or at the server by the run's id. A server that was started for the run is found
    by the run's folder in ``outputs``, while it lives.

    Raises:
        UserError: there is no such run, it has no job at an API, or the environment names another API.
    """
    if not run_id.strip():
        raise ConfigError("run_id names the run whose job is meant: -P run_id=...")
    with tempfile.TemporaryDirectory(prefix="parley-job-") as folder:
        run = runs.watch(run_id, Path(folder))
        tags = run.known_tags()
        client = _client_of_run(run_id, tags, Path(folder), outputs)
        job_id = tags.get(JOB_TAG, "")
        if not job_id:
            job = find(client, run_id)
            if job is None:
                raise UserError(f"run_id={run_id}: {client.endpoint.name} has no job of this run")
            job_id = job.id
        yield run, client, job_id


def entry_of(tags: Mapping[str, str]) -> str:
    """The entry point that started the run with these tags; older runs name none, and are of ``noisy``."""
    return tags.get("entry", "noisy")


def _client_of_run(run_id: str, tags: Mapping[str, str], folder: Path, outputs: Path) -> JobClient:
    address = tags.get(ADDRESS_TAG, "")
    endpoint = local_server.endpoint_of(outputs / run_id) if address == LOCAL else from_environment()
    if endpoint is None and "registered_version" in tags:
        raise UserError(
            f"run_id={run_id}: its job has ended and there is nothing to follow: the run registered "
            f"{tags['registered_version']}; make ui shows its curves"
        )
    if endpoint is None:
        raise UserError(
            f"run_id={run_id}: its job is on a local server that lives only while the run does, and none is there for "
            f"{outputs / run_id}; go on with the run where it ran: mlflow run . -e {entry_of(tags)} -P resume={run_id}"
        )
    if address not in ("", LOCAL) and address != endpoint.url:
        raise UserError(f"run_id={run_id}: its job is at {address}; set OPENAI_BASE_URL to that, and OPENAI_API_KEY")
    return JobClient(endpoint.client(), endpoint, IdempotencyLog(folder / "ledger.jsonl"))
