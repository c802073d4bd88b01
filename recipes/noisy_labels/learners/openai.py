"""A model behind an OpenAI-compatible API as a learner: taught by a job there, asked by chat requests or a batch.

What it is (client, address) comes from outside; what it has done so far lies in the run's folder, in the run's tags and
on the server, so that a killed run goes on with the same files, the same job and the answers that it has.
"""

import json
from collections.abc import Sequence

from data.errors import DataError, UserError
from data.formats import openai
from data.labelled import AnyRow
from evals.classification import Prediction
from evals.label_errors import Fit
from evals.verdict import Verdict
from openai_jobs import batch_api, events, jobs, monitor, prices, request_pool, requests, validation
from openai_jobs.endpoint import ApiError, Endpoint, from_environment
from openai_jobs.event_metrics import Correction
from openai_jobs.exactly_once import IdempotencyLog
from openai_jobs.jobs import JobClient, JobRequest, Tell, say
from openai_jobs.local_server import LocalServer
from openai_jobs.response_log import ResponseLog
from recipes.noisy_labels.config import NoisyConfig
from recipes.noisy_labels.data import NoisyData, TokenLimits
from recipes.noisy_labels.learners import openai_answers, openai_cost
from recipes.noisy_labels.learners.base import LoggedModel, LogProbs
from recipes.noisy_labels.preflight import Preflight
from registry import tfidf_versions, versions
from registry.runs import Run

#: The folder of a run's own folder where everything about the API lies.
FOLDER = events.ARTIFACTS
OPENAIS_HIDDEN_TOKENS = 2
#: What a version of weights says of them, whoever registered it.
OF_WEIGHTS = ("kind", "base_model", "base_digest")


class OpenAILearner:
    """One job and the models that come of it. Without ``endpoint`` it is the environment's, or a new server's."""

    base_digest = ""
    registers_checkpoints = True

    def __init__(self, config: NoisyConfig, endpoint: Endpoint | None = None, tell: Tell = say,
                 patience: request_pool.RetryPolicy = request_pool.PATIENT):  # fmt: skip
        self.config, self.tell, self.patience = config, tell, patience
        self.kind = "openai"
        self.is_private = config.provider == "parley" and endpoint is None
        self.endpoint = endpoint or (Endpoint() if self.is_private else from_environment())
        self.base, self.step = config.remote_model, 0
        self.max_scored_rows: int | None = config.n_memory
        self.ruler = (
            openai_cost.token_counter(self.base) if not self.is_private else openai_cost.bundled_token_counter()
        )
        self.models: dict[int, str] = {}
        self.server: LocalServer | None = None
        self.journal: ResponseLog | None = None
        self.manner = requests.RequestOptions()
        self._noted: set[str] = set()

    def token_limits(self) -> TokenLimits:
        """Conversations of at most what a job takes whole; some rows are set aside for the validation loss."""
        most = openai_cost.longest(self.base)
        if self.is_private or self.config.max_length != NoisyConfig.max_length:
            most = self.config.max_length
        return TokenLimits(
            self.ruler.count, most - self.config.max_new_tokens, self.ruler.special_tokens, validates=True
        )

    def estimate_cost(self, data: NoisyData, preflight: Preflight) -> Preflight:
        """What job and evaluation cost, and whether ``budget_usd`` allows it."""
        price = prices.find(self.base, self.config.prices)
        return openai_cost.weighed(preflight, data, self.config, price, self.endpoint, self.ruler)

    def start(self, data: NoisyData, run: Run) -> list[str]:
        """Write the files that would be sent, and check them by every rule of the format."""
        if data.dataset.is_questions:
            raise DataError([
                f"provider={self.config.provider} can't judge questions: MC1 and MC2 sum the log-probabilities of "
                "given answers, which no chat API tells; take provider=local, or texts with a label"
            ])  # fmt: skip
        self.data, self.run, self.folder = data, run, run.folder / FOLDER
        self.folder.mkdir(parents=True, exist_ok=True)
        parts = {"train.jsonl": data.train.rows, "validation.jsonl": data.validation}
        for name, rows in parts.items():
            openai.write(rows, self.folder / name, data.labels, data.template)
            validation.check(self.folder / name, self.ruler.count, self.token_limits().max_tokens)
        order = self._order(run, "(training file)", "(validation file)")
        where = "a private server of this run" if self.is_private else self.endpoint.name
        return [f"Job     on {self.base} at {where}: {json.dumps(order.body())}"]

    def _order(self, run: Run, *files: str) -> JobRequest:
        noise = self.config.noise()
        suffix = "".join(c if c.isalnum() else "-" for c in f"{self.config.register_as}-{noise.kind}-{noise.rate:g}")
        about = {"dataset_digest": self.data.digests()["dataset_digest"], "noise": f"{noise.kind} {noise.rate:g}"}
        given = self.config.given_hyperparameters()
        return JobRequest(run.run_id, self.base, (files[0], files[1]), self.config.epochs, given, self.config.seed,
                     suffix.strip("-")[:40], about)  # fmt: skip

    def submit(self, run: Run) -> None:
        """Upload and submit, or find what an earlier process has: one file of each kind and one job, ever."""
        if self.is_private:
            self.server = LocalServer(self.folder, run.client.tracking_uri)
            self.tell("Server  a private server of this run is started")
            self.endpoint = self.server.endpoint
            self.server.wait()
        self.desk = JobClient(
            self.endpoint.client(), self.endpoint, IdempotencyLog(self.folder / "ledger.jsonl"), self.tell
        )
        self.journal = ResponseLog(self.folder / "answers.jsonl")
        known = run.known_tags().get(jobs.JOB_TAG)
        if known:
            job = jobs.retrieve(self.desk, known)
        else:
            names = ("train.jsonl", "validation.jsonl")
            files = [jobs.upload(self.desk, self.folder / n, f"parley-{run.run_id}-{n}") for n in names]
            job = jobs.submit(self.desk, self._order(run, *files))
        self.job_id, self.base = job.id, job.model
        correction = self._correction()
        run.tags({
            jobs.JOB_TAG: job.id,
            jobs.ADDRESS_TAG: jobs.PRIVATE if self.is_private else self.endpoint.kept,
            "base_model": self.base,
            "base_name": self.base,
            **monitor.correction_tag(correction),
        })  # fmt: skip
        self.tell(f"Job     {job.id} {job.status.replace('_', ' ')} on {self.base}")
        self.book = events.EventReader(run, self.folder / "events.jsonl", correction)
        if self.config.mode == "batch":  # a batch takes hours: the curves shall not wait for the base's
            events.follow(self.desk, self.job_id, self.book)

    def _correction(self) -> Correction:
        hidden = self.config.hidden_tokens
        if hidden < 0:
            hidden = OPENAIS_HIDDEN_TOKENS if self.endpoint.is_openai else 0
        return Correction(openai_cost.label_tokens(self.data, self.ruler), hidden)

    def predict(self, rows: Sequence[AnyRow]) -> list[Prediction]:
        """What the model in force answers, and how likely it finds the labels. What was answered is not asked again."""
        assert self.journal
        config, data = self.config, self.data
        model = self.models.get(self.step, self.base)
        asked = openai_answers.questions(rows, model, data.template, config.max_new_tokens, config.seed)
        unasked = sum(question.digest not in self.journal.replies for question in asked)
        if unasked:
            self.tell(f"Asking  {model} about {unasked:,} rows")
        errors = self._answer(asked)
        found = []
        for question in asked:
            reply = self.journal.replies.get(question.digest)
            if reply is None:
                found.append(Prediction("error", error=errors.get(question.digest, "it was not asked")))
            else:
                found.append(openai_answers.prediction(reply, data.labels))
        return found

    score_labels = predict

    def _answer(self, asked: Sequence[requests.ChatRequest]) -> dict[str, str]:
        assert self.journal
        if self.config.mode == "batch":
            try:
                return batch_api.ask(self.desk, self.journal, asked, self.manner, self.run.run_id, self.folder)
            except ApiError as error:
                if not error.is_missing:
                    raise
                self._tell_once(f"Note    {self.endpoint.name} has no batches; rows are asked one by one")
        asking = request_pool.RequestPool(
            self.endpoint, self.journal, self.config.slots, self.patience, self._tell_once, self.manner
        )
        request_pool.ask(asking, asked)
        self.manner = asking.manner
        return asking.errors

    def _tell_once(self, line: str) -> None:
        """Tell a line, one on what the endpoint lacks only once in a run."""
        if not line.startswith("Note") or line not in self._noted:
            self._noted.add(line)
            self.tell(line)

    def score_choices(self, rows: Sequence[AnyRow]) -> list[LogProbs | None]:
        """No chat API tells the log-probability of a given answer: questions are refused."""
        raise NotImplementedError

    def train(self, run: Run) -> str:
        """Follow the job to its end, and keep its result file and checkpoints."""
        job = events.follow(self.desk, self.job_id, self.book)
        events.require_success(job)
        kept = events.checkpoints(self.desk, job.id)
        rows = events.result_rows(self.desk, job, self.folder / "step_metrics.csv")
        events.log_missing(run, rows, self.book.correction, job.finished_at or job.created_at)
        last = max([*kept, *(step for step in self.book.steps), 1])
        self.models = {step: each["model"] for step, each in kept.items() if step != last}
        self.models[last] = job.fine_tuned_model
        self.step = last
        events.keep(run, job, kept, self.folder)
        tokens = f", {job.trained_tokens:,} trained tokens" if job.trained_tokens else ""
        return f"{self.base} by {job.id} on {len(self.data.train.rows):,} rows{tokens}"

    def kept_steps(self) -> Sequence[int]:
        """The steps of the checkpoints that the API kept, and of the tuned model."""
        return sorted(self.models)

    def load_checkpoint(self, step: int) -> None:
        """Ask the model of this step from now on; 0 is the base."""
        self.step = step

    def fit(self, run: Run) -> Fit:
        """Folds would be paid jobs; the config refuses them."""
        raise NotImplementedError

    def log(self, run: Run, verdict: Verdict) -> LoggedModel:
        """The weights themselves where a server of ours put them into this store, else the model's name and address."""
        assert self.journal
        model = self.models[self.step]
        if self.step == max(self.models):  # the last that is logged: every answer is there
            self.journal.sync()
            run.file(self.journal.path, FOLDER)
        tags: dict[str, object] = {
            versions.OPENAI_ID: model,
            jobs.JOB_TAG: self.job_id,
            "system_prompt": self.data.template.system,
            "user_prompt": self.data.template.user,
        }
        here = versions.find_openai(model)
        if here and here.tags.get("kind") != "openai":
            self.kind = here.tags.get("kind", "lora")
            return LoggedModel(here.source, {**tags, **{key: here.tags[key] for key in OF_WEIGHTS if key in here.tags}})
        if self.is_private:
            raise UserError(
                f"the private server has not put {model} into {run.client.tracking_uri}: nothing was registered"
            )
        address = self.endpoint.address
        with tfidf_versions.settings_unlogged():
            uri = versions.log_remote(run, model, self.base, address, self.config.max_new_tokens)
        versions.verify_remote(uri, model, address)
        return LoggedModel(uri, tags)

    def close(self) -> None:
        """Close the file of answers, and end the private server."""
        if self.journal:
            self.journal.close()
        if self.server:
            self.server.close()
