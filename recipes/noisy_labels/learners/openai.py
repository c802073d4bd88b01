"""A model behind an OpenAI-compatible API as a learner: trained by a job, evaluated by chat requests or batches."""

import json
from collections.abc import Sequence

from data.errors import DataError
from data.formats import openai
from data.labelled import AnyRow
from evals.classification import Prediction
from evals.label_errors import Fit
from openai_jobs import batch_api, jobs, monitor, prices, validation
from openai_jobs.endpoint import ApiError, Endpoint
from openai_jobs.events import Correction
from openai_jobs.jobs import JobRequest, Output, print_now
from openai_jobs.request_pool import DEFAULT_POLICY, RetryPolicy
from openai_jobs.requests import ChatRequest
from openai_jobs.token_counter import longest
from recipes.api_job import FOLDER, ApiJob, suffix_of
from recipes.noisy_labels.config import NoisyConfig
from recipes.noisy_labels.data import NoisyData, TokenLimits
from recipes.noisy_labels.learners import openai_answers, openai_cost
from recipes.noisy_labels.learners.base import LogProbs, Registrable
from recipes.preflight import Preflight
from registry import versions
from registry.runs import Run

FILES = ("train.jsonl", "validation.jsonl")
OPENAIS_HIDDEN_TOKENS = 2


class OpenAILearner:
    """One job and its models. Without ``endpoint`` it is the environment's, or a local server started for the run."""

    base_digest = ""
    base_source = ""
    holds_base = False
    registers_checkpoints = True

    def __init__(self, config: NoisyConfig, endpoint: Endpoint | None = None, output: Output = print_now,
                 policy: RetryPolicy = DEFAULT_POLICY) -> None:  # fmt: skip
        self.config, self.output = config, output
        self.kind = "openai"
        self.api = ApiJob(config, endpoint, output, policy)
        self.base, self.step = self.api.base, 0
        self.max_scored_rows: int | None = config.n_memory
        self.counter = self.api.counter

    def token_limits(self) -> TokenLimits:
        """Conversations that a job trains on uncut; some rows are held out for the validation loss."""
        most = longest(self.base)
        if self.api.is_local or self.config.max_length != NoisyConfig.max_length:
            most = self.config.max_length
        return TokenLimits(
            self.counter.count, most - self.config.max_new_tokens, self.counter.special_tokens, validates=True
        )

    def estimate_cost(self, data: NoisyData, preflight: Preflight) -> Preflight:
        """The cost of job and evaluation, with an error where ``budget_usd`` does not cover it."""
        price = prices.find(self.base, self.config.prices)
        return openai_cost.with_cost(preflight, data, self.config, price, self.api.endpoint, self.counter)

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
        settings = {"epochs": self.config.epochs, "seed": self.config.seed, **self.config.given_hyperparameters()}
        words = ", ".join(f"{name}={value}" for name, value in settings.items())
        shown = json.dumps(request.body()) if self.config.dry_run else words
        return [f"Job     on {self.base} at {self.api.place}: {shown}"]

    def _job_request(self, run: Run, *files: str) -> JobRequest:
        noise = self.config.noise()
        return JobRequest(
            run.run_id,
            self.base,
            (files[0], files[1]),
            self.config.epochs,
            self.config.given_hyperparameters(),
            self.config.seed,
            suffix_of(f"{self.config.register_as}-{noise.kind}-{noise.rate:g}"),
            {"dataset_digest": self.data.digests()["dataset_digest"], "noise": f"{noise.kind} {noise.rate:g}"},
        )

    def submit(self, run: Run) -> None:
        """Upload the files and create the job, or find those of an earlier process: each exists once."""
        paths = [self.folder / name for name in FILES]
        self.api.submit(run, paths, lambda files: self._job_request(run, *files), self._correction)
        self.base = self.api.base
        if self.config.mode == "batch":  # the base's batch takes hours, for which the curves shall not wait
            monitor.follow(self.api.client, self.api.job_id, self.api.reader)

    def _correction(self, endpoint: Endpoint) -> Correction:
        hidden = self.config.hidden_tokens
        if hidden < 0:
            hidden = OPENAIS_HIDDEN_TOKENS if endpoint.is_openai else 0
        return Correction(openai_cost.label_tokens(self.data, self.counter), hidden)

    def predict(self, rows: Sequence[AnyRow]) -> list[Prediction]:
        """Answers of the model in force and the probability of their labels; replies in the log are used again."""
        assert self.api.responses
        config, data, replies = self.config, self.data, self.api.responses.replies
        model = self.api.models.get(self.step, self.base)
        requests = openai_answers.chat_requests(rows, model, data.template, config.max_new_tokens, config.seed)
        unanswered = sum(request.digest not in replies for request in requests)
        if unanswered:
            self.output(f"Predict {unanswered:,} rows by {model}")
        errors = self._complete(requests)
        return [
            openai_answers.prediction(replies[request.digest], data.labels)
            if request.digest in replies
            else Prediction("error", error=errors.get(request.digest, "no request was sent"))
            for request in requests
        ]

    score_labels = predict

    def _complete(self, requests: Sequence[ChatRequest]) -> dict[str, str]:
        """Put the replies into the log; returns the errors of the requests without one, by digest."""
        api = self.api
        if self.config.mode == "batch":
            assert api.responses
            try:
                return batch_api.complete(
                    api.client, api.responses, requests, api.options, self.run.run_id, self.folder
                )
            except ApiError as error:
                if not error.is_missing:
                    raise
                api.print_once(f"Note    {api.endpoint.name} has no batches; rows are sent one by one")
        return api.complete(requests)

    def score_choices(self, rows: Sequence[AnyRow]) -> list[LogProbs | None]:
        """No chat API returns the log-probability of a given answer: questions are refused."""
        raise NotImplementedError

    def train(self, run: Run) -> str:
        """Follow the job to its end, and store its result file and checkpoints."""
        job = self.api.follow()
        self.step = max(self.api.models)
        tokens = f", {job.trained_tokens:,} trained tokens" if job.trained_tokens else ""
        return f"{self.base} by {job.id} on {len(self.data.train.rows):,} rows{tokens}"

    def kept_steps(self) -> Sequence[int]:
        """The steps of the checkpoints that the API kept, and of the tuned model."""
        return sorted(self.api.models)

    def load_checkpoint(self, step: int) -> None:
        """Send requests to the model of this step from now on; 0 is the base."""
        self.step = step

    def fit(self, run: Run) -> Fit:
        """Folds would be paid jobs; the config refuses them."""
        raise NotImplementedError

    def save(self, run: Run) -> Registrable:
        """The logged weights where the server shares this store, else a version that holds model name and address."""
        model = self.api.models[self.step]
        if self.step == max(self.api.models):  # the last that is logged: every reply is there
            self.api.log_responses()
        found, tags = self.api.registrable(model)
        self.kind = tags.get("kind", "lora")
        more = {
            versions.OPENAI_ID: model,
            jobs.JOB_TAG: self.api.job_id,
            "system_prompt": self.data.template.system,
            "user_prompt": self.data.template.user,
        }
        return Registrable(found, {**more, **tags})

    def close(self) -> None:
        """Close the log of replies, and end the local server."""
        self.api.close()
