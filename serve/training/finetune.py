"""One job, from its files to its registered versions; begun anew, it goes on from where the last process came to."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from data.chat_template import template_of
from data.errors import UserError
from data.formats.records import BadRecord
from evals.generation import Scores, context_length
from evals.verdict import Verdict
from recipes.sft import record
from recipes.sft.config import TuneConfig
from recipes.sft.data import Rows
from recipes.sft.types import Job, Outcome
from registry import lineage, runs, versions
from registry.runs import Run
from serve import model_names
from serve.store import files, jobs, training_file
from serve.store.database import Database
from serve.store.hyperparameters import passes
from serve.training import progress
from train import base_model, plots, trainable
from train.encoding import Example, encode
from train.loop import fit
from train.resume import Progress as Reached
from train.resume import StateFolder
from train.schedule import eval_schedule

#: Steps between two resume points, roughly: so much is trained again after a crash at most.
POINT_STEPS = 50
#: Without a validation file the training loop still evaluates, on so few training rows; nobody is told the result.
STAND_INS = 1
TAG_CHARACTERS = 5000


@dataclass(frozen=True)
class PreparedJob:
    """A job made ready to be trained.

    ``checks``: validation rows, or a stand-in. ``epoch_steps``: where epochs end; the weights of the last
    ``kept_epochs`` of them become models.
    """

    row: Mapping[str, Any]
    job: Job
    checks: list[Example]
    epoch_steps: set[int]
    kept_epochs: int

    @property
    def total_steps(self) -> int:
        """Of the whole job."""
        return max(self.epoch_steps)


class InvalidTrainingFile(UserError):
    """The job's files can't be trained on; ``param`` says which of them."""

    def __init__(self, message: str, param: str):
        super().__init__(message)
        self.param = param


def open_run(database: Database, row: Mapping[str, Any], outputs: Path) -> Run:
    """The job's one MLflow run: a new one the first time, and the same one ever after."""
    run_id = row["run_id"] or runs.find(row["id"])
    run = runs.reopen(run_id, outputs) if run_id else runs.start(row["id"], outputs)
    if row["run_id"] is None:
        with database.write() as connection:
            jobs.update_running(connection, row["id"], run_id=run.run_id)
    return run


def prepare(database: Database, row: Mapping[str, Any], threads: int, keep: int) -> PreparedJob:
    """Load the base, read and encode the files.

    Raises:
        Unteachable: a file can't be trained on, which shows only in the base's own tokens.
        UserError: the base can't be had.
    """
    import torch

    torch.set_num_threads(threads)
    found = base_model.resolve(row["base"])
    model, tokenizer = base_model.load(found, base_model.pick_device())
    config = replace(_config(row, threads), max_length=context_length(model))
    train, validation = (_rows(database, row, param) for param in ("training_file", "validation_file"))
    examples = _encode(train, tokenizer, config.max_length, "training_file")
    checks = _encode(validation, tokenizer, config.max_length, "validation_file") or examples[:STAND_INS]
    rows_per_step = config.batch_size * config.accumulation
    steps_per_epoch = -(-len(examples) // rows_per_step)
    config = replace(config, evals_per_epoch=min(steps_per_epoch, 1 + steps_per_epoch // POINT_STEPS))
    job = Job(config, Rows(train, validation, [], ""), found, model, tokenizer, examples, config.max_length)
    epochs = eval_schedule(steps_per_epoch, config.epochs, 1)
    return PreparedJob(row, job, checks, epochs, keep)


def _config(row: Mapping[str, Any], threads: int) -> TuneConfig:
    wanted = row["hyperparameters"]
    batch_size, accumulation = passes(wanted["batch_size"])
    return TuneConfig(
        dataset=row["training_file"],
        test_dataset=row["validation_file"] or "",
        base_model=row["base"],
        epochs=wanted["n_epochs"],
        batch_size=batch_size,
        accumulation=accumulation,
        lr=TuneConfig().peak_lr * wanted["learning_rate_multiplier"],
        restore="last",
        seed=row["seed"],
        threads=threads,
        register_as=row["registered"],
    )


def _rows(database: Database, row: Mapping[str, Any], param: str) -> list[Any]:
    if row[param] is None:
        return []
    with tempfile.TemporaryDirectory(prefix="parley-job-") as folder:
        path = files.save(database, row[param], Path(folder, "rows.jsonl"))
        try:
            return training_file.rows(path)
        except BadRecord as error:
            raise InvalidTrainingFile(str(error), param) from error


def _encode(rows: list[Any], tokenizer: Any, max_length: int, param: str) -> list[Example]:
    try:
        return encode(rows, tokenizer, "response", max_length)
    except UserError as error:
        raise InvalidTrainingFile("; ".join(str(error).splitlines()), param) from error


class Epochs(StateFolder):
    """Resume points, and the weights of the last epochs' ends beside them."""

    def __init__(self, folder: Path, epoch_steps: set[int], kept: int, told: progress.Progress):
        super().__init__(folder)
        self.epoch_steps, self.kept_epochs, self.told = epoch_steps, kept, told

    def save(self, progress: Reached, weights: Any, optimizer: Any) -> None:
        """Make the point, and tell of it."""
        super().save(progress, weights, optimizer)
        self.told.point(progress.step)

    def wanted(self, progress: Reached) -> set[int]:
        """The last epochs' ends, and the point to go on from."""
        ends = sorted(step for step, _ in progress.history if step in self.epoch_steps)
        return {*ends[-self.kept_epochs :], progress.step}


def train(database: Database, lesson: PreparedJob, run: Run) -> None:
    """Train and register; nothing is done twice that an earlier process has finished.

    Raises:
        UserError: training diverged, the reloaded model is another one, or the tracking server stays away.
        Overtaken: the job was cancelled or paused.
    """
    job, row = lesson.job, lesson.row
    _record_start(lesson, run)
    told = progress.Progress(database, row["id"], run, lesson.total_steps, lesson.epoch_steps,
                             row["validation_file"] is not None)  # fmt: skip
    state = Epochs(run.folder, lesson.epoch_steps, lesson.kept_epochs, told)
    model = trainable.make_trainable(job.model, job.config)
    fitted = fit(model, job.examples, lesson.checks, job.config, state, told, job.config.peak_lr)
    run.require_server()
    outcome = Outcome(model, fitted, Scores({}, []), Scores({}, []), Verdict("", ()))
    _record_results(lesson, run, outcome)
    models = _register(lesson, run, outcome)
    tokens = sum(len(example.input_ids) for example in job.examples) * job.config.epochs
    run.finish()  # before the job is told to be done: after that nobody would look at the run again
    run.require_server()
    if not jobs.succeed(database, row["id"], models, tokens):
        _unregister(models)
        raise progress.JobInterrupted


def _record_start(lesson: PreparedJob, run: Run) -> None:
    record.record_start(lesson.job, run)
    row = lesson.row
    told = {"openai_job": row["id"], versions.OPENAI_ID: row["result"], "openai_model": row["model"]}
    run.tags({**told, "openai_metadata": json.dumps(row["pairs"])[:TAG_CHARACTERS]})


def _record_results(lesson: PreparedJob, run: Run, outcome: Outcome) -> None:
    job, history = lesson.job, outcome.fitted.progress.history if lesson.row["validation_file"] else []
    train_loss = run.history("train/loss")
    title = f"{lesson.row['result']}: {Path(job.base.name).name}, {len(job.rows.train)} rows"
    plots.loss_table(train_loss, history, run.folder / "loss_curve.csv")
    run.file(run.folder / "loss_curve.csv")
    if history:
        plots.loss_curve(train_loss, history, outcome.fitted.progress.best_step, title, run.folder / "loss_curve.png")
        run.file(run.folder / "loss_curve.png")


def _register(lesson: PreparedJob, run: Run, outcome: Outcome) -> dict[int, str]:
    """Make a version of each kept epoch, proven by reloading; returns their model ids by step."""
    job, row, fitted = lesson.job, lesson.row, outcome.fitted
    record.keep_checkpoints(job, run, outcome)
    steps = [step for step in fitted.kept_steps if step in lesson.epoch_steps]
    made = {step: model_names.checkpoint_name(row["result"], step) for step in steps[:-1]} | {steps[-1]: row["result"]}
    probed = replace(job, rows=replace(job.rows, test=job.rows.train))  # any rows will do to compare two models on
    for step, model_id in made.items():
        fitted.put(step)
        folder = run.folder / "checkpoints" / f"step-{step}"
        uri = versions.log_model(run, folder, _settings(job), lineage.pins(), job.rows.train[0].prompt)
        versions.verify(uri, record.make_probe(probed, outcome.model))
        tags, card = _tags(lesson, step, model_id), _card(lesson, run, model_id)
        version = versions.register(row["registered"], uri, run.run_id, tags, card)
        if model_id == row["result"]:
            run.tags({"registered_version": f"{version.name}/{version.number}"})
    return made


def _settings(job: Job) -> dict[str, Any]:
    return {
        "kind": job.config.method,
        "base_path": str(job.base.folder),
        "base_digest": job.base.digest,
        "chat_template": template_of(job.tokenizer),
        "max_new_tokens": job.config.max_new_tokens,
    }


def _tags(lesson: PreparedJob, step: int, model_id: str) -> dict[str, Any]:
    job = lesson.job
    return {
        versions.OPENAI_ID: model_id,
        "openai_job": lesson.row["id"],
        "kind": job.config.method,
        "base_model": job.base.name,
        "base_digest": job.base.digest,
        "step": step,
        **job.rows.digests(),
        **lineage.code_state(),
    }


def _card(lesson: PreparedJob, run: Run, model_id: str) -> str:
    row, job = lesson.row, lesson.job
    settings = "\n".join(
        f"- {name}: {value}" for name, value in {**row["hyperparameters"], "seed": row["seed"]}.items()
    )
    return f"""# {model_id}

Made by the fine-tuning job {row["id"]}: an adapter on {job.base.name} (weights {job.base.digest}), which stood for
{row["model"]}. It was taught {len(job.rows.train)} rows of {row["training_file"]} and never judged: the job has no test
rows. Its loss is over the answers' tokens and nothing else.

{settings}
- run: {run.run_id}
"""


def _unregister(models: Mapping[int, str]) -> None:
    for model_id in models.values():
        version = versions.find_openai(model_id)
        if version:
            versions.delete(version)
