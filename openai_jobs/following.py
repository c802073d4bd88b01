"""Finding the job of a run at an API from any machine: by the run's tags, or at the server by the run's id."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from data.errors import ConfigError, UserError

if TYPE_CHECKING:
    from openai_jobs.jobs import JobClient
    from registry.runs import Run


@contextmanager
def attached(run_id: str) -> "Iterator[tuple[Run, JobClient, str]]":
    """(the run, a desk at the API that has its job, the job's id); nothing of the run's own folder is needed.

    Raises:
        UserError: there is no such run, it has no job at an API, or the environment names another API.
    """
    if not run_id.strip():
        raise ConfigError("run_id names the run whose job is meant: -P run_id=...")
    with tempfile.TemporaryDirectory(prefix="parley-watching-") as folder:
        yield _find(run_id, Path(folder))


def _find(run_id: str, folder: Path) -> "tuple[Run, JobClient, str]":
    from openai_jobs.endpoint import from_environment
    from openai_jobs.exactly_once import IdempotencyLog
    from openai_jobs.jobs import ADDRESS_TAG, JOB_TAG, PRIVATE, JobClient, find
    from registry import runs

    run = runs.watch(run_id, folder)
    tags = run.known_tags()
    address = tags.get(ADDRESS_TAG, "")
    if address == PRIVATE:
        raise UserError(
            f"run_id={run_id}: its job is on a private server that lives only while the run does; "
            f"go on with it where it ran: mlflow run . -e noisy -P resume={run_id}"
        )
    endpoint = from_environment()
    if address and address != endpoint.kept:
        raise UserError(f"run_id={run_id}: its job is at {address}; set OPENAI_BASE_URL to that, and OPENAI_API_KEY")
    desk = JobClient(endpoint.client(), endpoint, IdempotencyLog(folder / "ledger.jsonl"))
    job_id = tags.get(JOB_TAG, "")
    if not job_id:
        job = find(desk, run_id)
        if job is None:
            raise UserError(f"run_id={run_id}: {endpoint.name} has no job of this run")
        job_id = job.id
    return run, desk, job_id
