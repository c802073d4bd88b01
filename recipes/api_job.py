"""A fine-tuning job of a run at an OpenAI-compatible API, and requests to its models; what recipes do there.

Its state is in the run's folder, in the run's tags and on the server, so that a killed run resumes with the same files,
the same job and the replies that it has.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from data.errors import UserError
from openai_jobs import jobs, monitor
from openai_jobs.endpoint import Endpoint, from_environment
from openai_jobs.events import Correction, EventReader
from openai_jobs.exactly_once import IdempotencyLog
from openai_jobs.jobs import JobClient, JobRequest, Output, print_now
from openai_jobs.local_server import LocalServer
from openai_jobs.request_pool import DEFAULT_POLICY, RequestPool, RetryPolicy
from openai_jobs.requests import ChatRequest, RequestOptions
from openai_jobs.response_log import ResponseLog
from openai_jobs.token_counter import base_token_counter, token_counter
from recipes.api_config import ApiConfig
from registry import versions
from registry.registration import LoggedFiles, RemoteModel
from registry.runs import Run

if TYPE_CHECKING:
    from openai.types.fine_tuning import FineTuningJob

#: The folder within a run's own folder for everything about the API.
FOLDER = monitor.ARTIFACTS
#: Tags of a version that describe its weights, whoever registered it.
WEIGHT_TAGS = ("kind", "base_model", "base_digest")


class ApiJob:
    """One job and its models. Without ``endpoint`` it is the environment's, or a local server started for the run.

    ``base``: the API's name of the model before training; ``models``: those that were made, by step, after ``follow``.
    """

    def __init__(
        self,
        config: ApiConfig,
        endpoint: Endpoint | None = None,
        output: Output = print_now,
        policy: RetryPolicy = DEFAULT_POLICY,
    ) -> None:
        self.config, self.output, self.policy = config, output, policy
        self.is_local = config.provider == "parley" and endpoint is None
        self.endpoint = endpoint or (Endpoint() if self.is_local else from_environment())
        self.base = config.remote_model
        self.counter = base_token_counter(config.served_base) if self.is_local else token_counter(self.base)
        self.models: dict[int, str] = {}
        self.server: LocalServer | None = None
        self.responses: ResponseLog | None = None
        self.options = RequestOptions()
        self._noted: set[str] = set()

    @property
    def place(self) -> str:
        """Where the job runs, in words."""
        return "a local server of this run" if self.is_local else self.endpoint.name

    def submit(
        self,
        run: Run,
        paths: Sequence[Path],
        request: Callable[[Sequence[str]], JobRequest],
        correction: Callable[[Endpoint], Correction] = lambda endpoint: Correction(),
    ) -> None:
        """Upload the files at ``paths`` and create the job, or find those of an earlier process: each exists once.

        Args:
            request: the job's settings, from the ids of the files.

        Raises:
            UserError: the server refuses a file or the job.
        """
        self.run, self.folder = run, paths[0].parent
        if self.is_local:
            self._start_server(run)
        log = IdempotencyLog(self.folder / "ledger.jsonl")
        self.client = JobClient(self.endpoint.client(), self.endpoint, log, self.output)
        self.responses = ResponseLog(self.folder / "answers.jsonl")
        known = run.known_tags().get(jobs.JOB_TAG)
        if known:
            job = jobs.retrieve(self.client, known)
        else:
            files = [jobs.upload(self.client, path, f"parley-{run.run_id}-{path.name}") for path in paths]
            job = jobs.submit(self.client, request(files))
        self.job_id, self.base = job.id, job.model
        corrected = correction(self.endpoint)
        run.tags({
            jobs.JOB_TAG: job.id,
            jobs.ADDRESS_TAG: jobs.LOCAL if self.is_local else self.endpoint.url,
            "base_model": self.base,
            "base_name": self.base,
            **monitor.correction_tag(corrected),
        })  # fmt: skip
        self.output(f"Job     {job.id} {job.status.replace('_', ' ')} on {self.base}")
        self.reader = EventReader(run, self.folder / "events.jsonl", corrected)

    def _start_server(self, run: Run) -> None:
        served = (sys.executable, "-m", "steps.serve", "--base_model", self.config.served_base)
        self.server = LocalServer(self.folder, run.client.tracking_uri, served)
        self.output("Server  a local server of this run is started")
        self.endpoint = self.server.endpoint
        self.server.wait()

    def complete(self, requests: Sequence[ChatRequest]) -> dict[str, str]:
        """Put the replies to ``requests`` into ``responses``; returns the errors of those without one, by digest."""
        assert self.responses
        pool = RequestPool(self.endpoint, self.responses, self.config.slots, self.policy, self.print_once, self.options)
        pool.run(requests)
        self.options = pool.options
        return pool.errors

    def print_once(self, line: str) -> None:
        """Print a line; a note on what the endpoint lacks only once a run."""
        if not line.startswith("Note") or line not in self._noted:
            self._noted.add(line)
            self.output(line)

    def follow(self) -> "FineTuningJob":
        """Follow the job to its end, and store its result file and checkpoints.

        Raises:
            UserError: it failed, was cancelled, or the server can't be reached.
        """
        job = monitor.follow(self.client, self.job_id, self.reader)
        monitor.require_success(job)
        kept = monitor.checkpoints(self.client, job.id)
        rows = monitor.result_rows(self.client, job, self.folder / "step_metrics.csv")
        monitor.log_missing(self.run, rows, self.reader.correction, job.finished_at or job.created_at)
        last = max([*kept, *self.reader.last_steps, 1])
        self.models = {step: each["model"] for step, each in kept.items() if step != last}
        self.models[last] = str(job.fine_tuned_model)
        monitor.log_artifacts(self.run, job, kept, self.folder)
        return job

    def registrable(self, model: str) -> tuple[LoggedFiles | RemoteModel, dict[str, str]]:
        """``model`` to register, and tags of its weights: as logged where the server shares this store, else by name.

        Raises:
            UserError: the local server has not logged it.
        """
        here = versions.find_openai(model)
        if here and here.tags.get("kind") != "openai":
            return LoggedFiles(here.source), {key: here.tags[key] for key in WEIGHT_TAGS if key in here.tags}
        if self.is_local:
            raise UserError(
                f"the local server has not logged {model} in {self.run.client.tracking_uri}: nothing was registered"
            )
        return RemoteModel(model, self.base, self.endpoint.address, self.config.max_new_tokens), {"kind": "openai"}

    def log_responses(self) -> None:
        """Log the replies as an artifact."""
        assert self.responses
        self.responses.sync()
        self.run.file(self.responses.path, FOLDER)

    def close(self) -> None:
        """Close the log of replies, and end the local server."""
        if self.responses:
            self.responses.close()
        if self.server:
            self.server.close()


def suffix_of(name: str) -> str:
    """``name`` as a job's suffix: letters, digits and hyphens, at most 40 of them."""
    return "".join(c if c.isalnum() else "-" for c in name).strip("-")[:40]
