"""A model behind an OpenAI-compatible API as a learner: trained by a job there, evaluated by chat requests or batches.

Its state is in the run's folder, in the run's tags and on the server, so that a killed run resumes with the same files,
the same job and the replies that it has.
"""

import json
import sys
from collections.abc import Sequence

from data.errors import DataError, UserError
from data.formats import openai
from data.labelled import AnyRow
from evals.classification import Prediction
from evals.label_errors import Fit
from openai_jobs import batch_api, jobs, monitor, prices, validation
from openai_jobs.endpoint import ApiError, Endpoint, from_environment
from openai_jobs.events import Correction, EventReader
from openai_jobs.exactly_once import IdempotencyLog
from openai_jobs.jobs import JobClient, JobRequest, Output, print_now
from openai_jobs.local_server import LocalServer
from openai_jobs.request_pool import DEFAULT_POLICY, RequestPool, RetryPolicy
from openai_jobs.requests import ChatRequest, RequestOptions
from openai_jobs.response_log import ResponseLog
from recipes.noisy_labels.config import NoisyConfig
from recipes.noisy_labels.data import NoisyData, TokenLimits
from recipes.noisy_labels.learners import openai_answers, openai_cost
from recipes.noisy_labels.learners.base import LogProbs, Registrable
from recipes.noisy_labels.preflight import Preflight
from registry import versions
from registry.registration import LoggedFiles, RemoteModel
from registry.runs import Run

#: The folder within a run's own folder for everything about the API.
FOLDER = monitor.ARTIFACTS
FILES = ("train.jsonl", "validation.jsonl")
OPENAIS_HIDDEN_TOKENS = 2
#: Tags of a version that describe its weights, whoever registered it.
WEIGHT_TAGS = ("kind", "base_model", "base_digest")


class OpenAILearner:
    """One job and its models. Without ``endpoint`` it is the environment's, or a local server started for the run."""

    base_digest = ""
    base_source = ""
    holds_base = False
    registers_checkpoints = True

    def __init__(self, config: NoisyConfig, endpoint: Endpoint | None = None, output: Output = print_now,
                 policy: RetryPolicy = DEFAULT_POLICY) -> None:  # fmt: skip
        self.config, self.output, self.policy = config, output, policy
        self.kind = "openai"
        self.is_local = config.provider == "parley" and endpoint is None
        self.endpoint = endpoint or (Endpoint() if self.is_local else from_environment())
        self.base, self.step = config.remote_model, 0
        self.max_scored_rows: int | None = config.n_memory
        self.counter = (
            openai_cost.base_token_counter(config.served_base)
            if self.is_local
            else openai_cost.token_counter(self.base)
        )
        self.models: dict[int, str] = {}
        self.server: LocalServer | None = None
        self.responses: ResponseLog | None = None
        self.options = RequestOptions()
        self._noted: set[str] = set()

    def token_limits(self) -> TokenLimits:
        """Conversations that a job trains on uncut; some rows are held out for the validation loss."""
        most = openai_cost.longest(self.base)
        if self.is_local or self.config.max_length != NoisyConfig.max_length:
            most = self.config.max_length
        return TokenLimits(
            self.counter.count, most - self.config.max_new_tokens, self.counter.special_tokens, validates=True
        )

    def estimate_cost(self, data: NoisyData, preflight: Preflight) -> Preflight:
        """The cost of job and evaluation, with an error where ``budget_usd`` does not cover it."""
        price = prices.find(self.base, self.config.prices)
        return openai_cost.with_cost(preflight, data, self.config, price, self.endpoint, self.counter)

    def start(self, data: NoisyData, run: Run) -> list[str]:
        """Write the files that would be uploaded, and check them by every rule of the format."""
        if data.dataset.is_questions:
            raise DataError([
                f"provider={self.config.provider} can't judge questions: MC1 and MC2 sum the log-probabilities of "
                "given answers, which no chat API returns; take provider=local, or texts with a label"
            ])  # fmt: skip
        self.data, self.run, self.folder = data, run, run.folder / FOLDER
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, rows in zip(FILES, (data.train.rows, data.validation), strict=True):
            openai.write(rows, self.folder / name, data.labels, data.template)
            validation.check(self.folder / name, self.counter.count, self.token_limits().max_tokens)
        request = self._job_request(run, "(training file)", "(validation file)")
        where = "a local server of this run" if self.is_local else self.endpoint.name
        settings = {"epochs": self.config.epochs, "seed": self.config.seed, **self.config.given_hyperparameters()}
        words = ", ".join(f"{name}={value}" for name, value in settings.items())
        return [f"Job     on {self.base} at {where}: {json.dumps(request.body()) if self.config.dry_run else words}"]

    def _job_request(self, run: Run, *files: str) -> JobRequest:
        noise = self.config.noise()
        suffix = "".join(c if c.isalnum() else "-" for c in f"{self.config.register_as}-{noise.kind}-{noise.rate:g}")
        return JobRequest(
            run.run_id,
            self.base,
            (files[0], files[1]),
            self.config.epochs,
            self.config.given_hyperparameters(),
            self.config.seed,
            suffix.strip("-")[:40],
            {"dataset_digest": self.data.digests()["dataset_digest"], "noise": f"{noise.kind} {noise.rate:g}"},
        )

    def submit(self, run: Run) -> None:
        """Upload the files and create the job, or find those of an earlier process: each exists once."""
        if self.is_local:
            self._start_server(run)
        log = IdempotencyLog(self.folder / "ledger.jsonl")
        self.client = JobClient(self.endpoint.client(), self.endpoint, log, self.output)
        self.responses = ResponseLog(self.folder / "answers.jsonl")
        known = run.known_tags().get(jobs.JOB_TAG)
        if known:
            job = jobs.retrieve(self.client, known)
        else:
            files = [jobs.upload(self.client, self.folder / name, f"parley-{run.run_id}-{name}") for name in FILES]
            job = jobs.submit(self.client, self._job_request(run, *files))
        self.job_id, self.base = job.id, job.model
        correction = self._correction()
        run.tags({
            jobs.JOB_TAG: job.id,
            jobs.ADDRESS_TAG: jobs.LOCAL if self.is_local else self.endpoint.url,
            "base_model": self.base,
            "base_name": self.base,
            **monitor.correction_tag(correction),
        })  # fmt: skip
        self.output(f"Job     {job.id} {job.status.replace('_', ' ')} on {self.base}")
        self.reader = EventReader(run, self.folder / "events.jsonl", correction)
        if self.config.mode == "batch":  # the base's batch takes hours, for which the curves shall not wait
            monitor.follow(self.client, self.job_id, self.reader)

    def _start_server(self, run: Run) -> None:
        served = (sys.executable, "-m", "steps.serve", "--base_model", self.config.served_base)
        self.server = LocalServer(self.folder, run.client.tracking_uri, served)
        self.output("Server  a local server of this run is started")
        self.endpoint = self.server.endpoint
        self.server.wait()

    def _correction(self) -> Correction:
        hidden = self.config.hidden_tokens
        if hidden < 0:
            hidden = OPENAIS_HIDDEN_TOKENS if self.endpoint.is_openai else 0
        return Correction(openai_cost.label_tokens(self.data, self.counter), hidden)

    def predict(self, rows: Sequence[AnyRow]) -> list[Prediction]:
        """Answers of the model in force and the probability of their labels; replies in the log are used again."""
        assert self.responses
        config, data, replies = self.config, self.data, self.responses.replies
        model = self.models.get(self.step, self.base)
        requests = openai_answers.chat_requests(rows, model, data.template, config.max_new_tokens, config.seed)
        unanswered = sum(request.digest not in replies for request in requests)
        if unanswered:
            self.output(f"Predict {unanswered:,} rows by {model}")
        errors = self._complete(requests, self.responses)
        return [
            openai_answers.prediction(replies[request.digest], data.labels)
            if request.digest in replies
            else Prediction("error", error=errors.get(request.digest, "no request was sent"))
            for request in requests
        ]

    score_labels = predict

    def _complete(self, requests: Sequence[ChatRequest], log: ResponseLog) -> dict[str, str]:
        """Put the replies into the log; returns the errors of the requests without one, by digest."""
        if self.config.mode == "batch":
            try:
                return batch_api.complete(self.client, log, requests, self.options, self.run.run_id, self.folder)
            except ApiError as error:
                if not error.is_missing:
                    raise
                self._print_once(f"Note    {self.endpoint.name} has no batches; rows are sent one by one")
        pool = RequestPool(self.endpoint, log, self.config.slots, self.policy, self._print_once, self.options)
        pool.run(requests)
        self.options = pool.options
        return pool.errors

    def _print_once(self, line: str) -> None:
        """Print a line; a note on what the endpoint lacks only once a run."""
        if not line.startswith("Note") or line not in self._noted:
            self._noted.add(line)
            self.output(line)

    def score_choices(self, rows: Sequence[AnyRow]) -> list[LogProbs | None]:
        """No chat API returns the log-probability of a given answer: questions are refused."""
        raise NotImplementedError

    def train(self, run: Run) -> str:
        """Follow the job to its end, and store its result file and checkpoints."""
        job = monitor.follow(self.client, self.job_id, self.reader)
        monitor.require_success(job)
        kept = monitor.checkpoints(self.client, job.id)
        rows = monitor.result_rows(self.client, job, self.folder / "step_metrics.csv")
        monitor.log_missing(run, rows, self.reader.correction, job.finished_at or job.created_at)
        last = max([*kept, *self.reader.last_steps, 1])
        self.models = {step: each["model"] for step, each in kept.items() if step != last}
        self.models[last] = str(job.fine_tuned_model)
        self.step = last
        monitor.log_artifacts(run, job, kept, self.folder)
        tokens = f", {job.trained_tokens:,} trained tokens" if job.trained_tokens else ""
        return f"{self.base} by {job.id} on {len(self.data.train.rows):,} rows{tokens}"

    def kept_steps(self) -> Sequence[int]:
        """The steps of the checkpoints that the API kept, and of the tuned model."""
        return sorted(self.models)

    def load_checkpoint(self, step: int) -> None:
        """Send requests to the model of this step from now on; 0 is the base."""
        self.step = step

    def fit(self, run: Run) -> Fit:
        """Folds would be paid jobs; the config refuses them."""
        raise NotImplementedError

    def save(self, run: Run) -> Registrable:
        """The logged weights where the server shares this store, else a version that holds model name and address."""
        assert self.responses
        model = self.models[self.step]
        if self.step == max(self.models):  # the last that is logged: every reply is there
            self.responses.sync()
            run.file(self.responses.path, FOLDER)
        tags: dict[str, object] = {
            versions.OPENAI_ID: model,
            jobs.JOB_TAG: self.job_id,
            "system_prompt": self.data.template.system,
            "user_prompt": self.data.template.user,
        }
        here = versions.find_openai(model)
        if here and here.tags.get("kind") != "openai":
            self.kind = here.tags.get("kind", "lora")
            weights = {key: here.tags[key] for key in WEIGHT_TAGS if key in here.tags}
            return Registrable(LoggedFiles(here.source), {**tags, **weights})
        if self.is_local:
            raise UserError(
                f"the local server has not logged {model} in {run.client.tracking_uri}: nothing was registered"
            )
        return Registrable(RemoteModel(model, self.base, self.endpoint.address, self.config.max_new_tokens), tags)

    def close(self) -> None:
        """Close the log of replies, and end the local server."""
        if self.responses:
            self.responses.close()
        if self.server:
            self.server.close()
