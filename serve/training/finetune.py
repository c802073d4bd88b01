"""A fine-tuning job from its files to its registered versions; started again, it goes on from its last resume point."""

import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from data import preferences
from data.chat_format import fix_date
from data.errors import UserError
from data.formats.records import BadRecord
from evals.generation import probe
from inference.locations import REGISTERED
from inference.precision import Load
from inference.threads import set_threads
from recipes.dpo.config import DpoConfig
from recipes.dpo.data import PreferenceRows
from recipes.dpo.types import PreferenceJob
from recipes.sft import record
from recipes.sft.config import TuneConfig
from recipes.sft.data import Rows
from recipes.sft.types import Job
from recipes.version_models import locate
from registry import experiment, registration, runs, versions
from registry.registration import LanguageModelFiles
from registry.runs import Run
from serve import model_names
from serve.store import files, job_events, jobs, training_file
from serve.store.database import Database
from serve.store.hyperparameters import passes
from serve.training.lengths import cut_message
from serve.training.progress import JobInterrupted, JobTracker
from train import defaults, trainable
from train.encoding import Example, encode, encode_pairs
from train.finetune import REFERENCE, Finetuned, LoadedBase, finetune, load_base
from train.loss_curve import write_loss_curve
from train.losses import PREFERENCE_LOSSES
from train.resume import Progress, StateFolder
from train.schedule import eval_schedule

#: About so many steps lie between two resume points, and are trained again after a crash at most.
POINT_STEPS = 50
#: Without a validation file the training loop still evaluates, on so few training rows; the result is not reported.
STAND_INS = 1
TAG_CHARACTERS = 5000
#: How the column ``base`` of a job begins that continues from a registered version.


@dataclass(frozen=True)
class PreparedJob:
    """A job ready for training.

    ``epoch_steps``: where epochs end; the weights of the last ``kept_epochs`` of them become models. Without a
    validation file, ``job.checks`` are a few training rows.
    """

    row: Mapping[str, Any]
    job: Job
    epoch_steps: set[int]
    kept_epochs: int

    @property
    def total_steps(self) -> int:
        """Optimizer steps of the whole job."""
        return max(self.epoch_steps)


class InvalidTrainingFile(UserError):
    """The job's files can't be trained on; ``param`` says which of them."""

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message)
        self.param = param


def open_run(database: Database, row: Mapping[str, Any], outputs: Path) -> Run:
    """The job's MLflow run: started the first time, reopened when the job is resumed."""
    run_id = row["run_id"] or experiment.find(row["id"])
    run = runs.reopen(run_id, outputs) if run_id else runs.start(row["id"], outputs)
    if row["run_id"] is None:
        with database.write() as connection:
            jobs.update_running(connection, row["id"], run_id=run.run_id)
    return run


def prepare(database: Database, row: Mapping[str, Any], threads: int, keep: int, load: Load = "auto") -> PreparedJob:
    """Load the base, read and encode the files.

    Raises:
        InvalidTrainingFile: a file can't be trained on, which shows only in the base's own tokens.
        UserError: the base can't be had.
    """
    set_threads(threads)
    config = _config(row, threads, load)
    train, validation = (_rows(database, row, param) for param in ("training_file", "validation_file"))
    thoughts = any(each.has_thoughts for each in train)
    start = locate(row["base"]) if row["base"].startswith(REGISTERED) else None
    base = load_base(replace(config, max_length=sys.maxsize), thoughts=thoughts, start=start)
    fix_date(base.tokenizer, datetime.fromtimestamp(row["created_at"]).date())
    learned = _encode(train, base, "training_file")
    chosen_by = _encode(validation, base, "validation_file") or learned[:STAND_INS]
    examples, checks = ([one for each in rows for one in each.sequences] for rows in (learned, chosen_by))
    _warn_of_cut(database, row, {"training_file": examples, "validation_file": checks if validation else []}, base)
    steps_per_epoch = -(-len(learned) // (config.batch_size * config.accumulation))
    evaluations = min(steps_per_epoch, 1 + steps_per_epoch // POINT_STEPS)
    config = replace(config, max_length=base.max_length, evals_per_epoch=evaluations)
    job = _job(row, config, base, (train, validation), (learned, chosen_by))
    return PreparedJob(row, job, eval_schedule(steps_per_epoch, config.epochs, 1), keep)


def _job(row: Mapping[str, Any], config: TuneConfig, base: LoadedBase, rows: Any, encoded: Any) -> PreferenceJob | Job:
    """The job of one method; ``rows`` and ``encoded`` are those of training and validation."""
    examples, checks = ([one for each in part for one in each.sequences] for part in encoded)
    lr = defaults.complete(config, base.parameters).lr * row["hyperparameters"]["learning_rate_multiplier"]
    started = {"start": row["base"].removeprefix(REGISTERED)} if row["base"].startswith(REGISTERED) else {}
    adapter = trainable.adapter_settings(base.model)
    if not isinstance(config, DpoConfig):
        return Job(replace(config, lr=lr, **adapter), Rows(rows[0], rows[1], [], ""), base, examples, checks, **started)
    return PreferenceJob(
        replace(config, lr=lr * config.lr_share, **adapter),
        PreferenceRows(rows[0], rows[1], [], "", preferences=(*rows, [])),
        base,
        examples,
        checks,
        kind="dpo",
        preferences=(*encoded, []),
        loss=PREFERENCE_LOSSES[config.loss](config.settings),
        **started,
    )


def _config(row: Mapping[str, Any], threads: int, load: Load) -> TuneConfig:
    wanted = row["hyperparameters"]
    batch_size, accumulation = passes(wanted["batch_size"])
    is_dpo = row["method"] == training_file.DPO
    return (DpoConfig if is_dpo else TuneConfig)(
        **({"beta": wanted["beta"]} if is_dpo else {}),
        dataset=row["training_file"],
        test_dataset=row["validation_file"] or "",
        base_model=row["base"],
        load=load,
        epochs=wanted["n_epochs"],
        batch_size=batch_size,
        accumulation=accumulation,
        restore="last",
        seed=row["seed"],
        threads=threads,
        register_as=row["registered"],
    )


def _rows(database: Database, row: Mapping[str, Any], param: str) -> list[Any]:
    if row[param] is None:
        return []
    with tempfile.TemporaryDirectory(prefix="parley-job-") as folder:
        path = files.save_in(database, row[param], Path(folder))
        try:
            if row["method"] == training_file.DPO:
                return _preferences(database, row, path, param)
            found = training_file.rows(path)
        except BadRecord as error:
            raise InvalidTrainingFile(str(error), param) from error
        unused = training_file.unused(path)
    if unused:
        with database.write() as connection:
            message = f"Keys of the rows of {param} that are not used: {', '.join(unused)}"
            job_events.add_event(connection, row["id"], f"unused-{param}", message, "warn")
    return found


def _preferences(database: Database, row: Mapping[str, Any], path: Path, param: str) -> list[Any]:
    """The preferences of a file that can be learned from; an event says which were left out."""
    found, notes = preferences.usable(training_file.preference_rows(path))
    if not found:
        raise InvalidTrainingFile(f"{param} has no preference to learn from: {'; '.join(notes)}", param)
    if notes:
        with database.write() as connection:
            job_events.add_event(connection, row["id"], f"unused-{param}", f"{param}: {'; '.join(notes)}", "warn")
    return found


def _encode(rows: list[Any], base: LoadedBase, param: str) -> list[Any]:
    try:
        if all(isinstance(each, preferences.Preference) for each in rows):
            return encode_pairs(rows, base.tokenizer, base.max_length)
        return encode(rows, base.tokenizer, "response", base.max_length)
    except UserError as error:
        raise InvalidTrainingFile("; ".join(str(error).splitlines()), param) from error


def _warn_of_cut(
    database: Database, row: Mapping[str, Any], encoded: Mapping[str, list[Example]], base: LoadedBase
) -> None:
    """Add an event for each file of which rows are cut; one that was added at the job's creation is not repeated."""
    messages = {param: cut_message(examples, base.max_length, param) for param, examples in encoded.items()}
    with database.write() as connection:
        for param, message in messages.items():
            if message:
                job_events.add_event(connection, row["id"], f"cut-{param}", message, "warn")


class Epochs(StateFolder):
    """Resume points, and with them the weights at the ends of the last epochs."""

    def __init__(self, folder: Path, epoch_steps: set[int], kept: int, tracker: JobTracker) -> None:
        super().__init__(folder)
        self.epoch_steps, self.kept_epochs, self.tracker = epoch_steps, kept, tracker

    def save(self, progress: Progress, weights: Any, optimizer: Any) -> None:
        """Make the resume point, and report it."""
        super().save(progress, weights, optimizer)
        self.tracker.point(progress.step)

    def wanted(self, progress: Progress) -> set[int]:
        """Steps whose weights are kept: the last epochs' ends, and the resume point."""
        ends = sorted(step for step, _ in progress.history if step in self.epoch_steps)
        return {*ends[-self.kept_epochs :], progress.step}


def train(database: Database, prepared: PreparedJob, run: Run) -> None:
    """Train and register; nothing is done twice that an earlier process has finished.

    Raises:
        UserError: training diverged, the reloaded model is another one, or the tracking server does not answer.
        JobInterrupted: the job was cancelled or paused.
    """
    job, row = prepared.job, prepared.row
    _record_start(prepared, run)
    tracker = JobTracker(database, row["id"], run, prepared.total_steps, prepared.epoch_steps,
                             row["validation_file"] is not None)  # fmt: skip
    state = Epochs(run.folder, prepared.epoch_steps, prepared.kept_epochs, tracker)
    tuned = finetune(job.trained_rows, job.validation_rows, job.base, job.config, tracker, state, job.loss)
    if job.loss.needs_reference:
        run.file(run.folder / REFERENCE)
    run.require_server()
    title = f"{row['result']}: {job.start or Path(job.base.source.name).name}, {len(job.rows.train)} rows"
    validated = row["validation_file"] is not None
    points, progress = run.history("train/loss"), tuned.fitted.progress
    for path in write_loss_curve(points, progress, title, run.folder, validated, job.loss_unit):
        run.file(path)
    models = _register(prepared, run, tuned)
    tokens = sum(len(example.input_ids) for example in job.examples) * job.config.epochs
    run.finish()  # before the job succeeds: after that no process opens the run again
    run.require_server()
    if not jobs.succeed(database, row["id"], models, tokens):
        _unregister(models)
        raise JobInterrupted


def _record_start(prepared: PreparedJob, run: Run) -> None:
    record.record_start(prepared.job, run)
    row = prepared.row
    tags = {"openai_job": row["id"], versions.OPENAI_ID: row["result"], "openai_model": row["model"]}
    run.tags({**tags, "openai_metadata": json.dumps(row["pairs"])[:TAG_CHARACTERS]})


def _register(prepared: PreparedJob, run: Run, tuned: Finetuned) -> dict[int, str]:
    """Make a version of each kept epoch, verified by reloading; returns their model ids by step."""
    job, row = prepared.job, prepared.row
    folders = record.keep_checkpoints(tuned, run)
    steps = [step for step in tuned.fitted.kept_steps if step in prepared.epoch_steps]
    made = {step: model_names.checkpoint_name(row["result"], step) for step in steps[:-1]} | {steps[-1]: row["result"]}
    compared = job.rows.train[: record.PROBED_ROWS]  # two models can be compared on any rows
    for step, model_id in made.items():
        tuned.fitted.load_checkpoint(step)
        probed = probe(tuned.model, job.base.tokenizer, compared, job.config.max_new_tokens)
        files = LanguageModelFiles(folders[step], tuned.model_config, probed)
        tags, card = _tags(prepared, step, model_id), _card(prepared, run, model_id)
        version = registration.register(run, files, row["registered"], tags, card)
        if model_id == row["result"]:
            run.tags({"registered_version": version.reference})
    return made


def _tags(prepared: PreparedJob, step: int, model_id: str) -> dict[str, Any]:
    job = prepared.job
    return {
        versions.OPENAI_ID: model_id,
        "openai_job": prepared.row["id"],
        "project": prepared.row["project"],
        **job.lineage_tags,
        **job.base.source.tags,
        "step": step,
        **job.rows.digests(),
    }


def _card(prepared: PreparedJob, run: Run, model_id: str) -> str:
    row, job, base = prepared.row, prepared.job, prepared.job.base.source
    settings = "\n".join(
        f"- {name}: {value}" for name, value in {**row["hyperparameters"], "seed": row["seed"]}.items()
    )
    return f"""# {model_id}

Made by the fine-tuning job {row["id"]}: an adapter on {base.name} (weights {base.digest}; {base.source}), which
stands for {row["model"]}. It was trained on {len(job.rows.train)} rows of {row["training_file"]} and not evaluated: the
job has no test rows. Its loss is over the answers' tokens and nothing else.

{settings}
- run: {run.run_id}
"""


def _unregister(models: Mapping[int, str]) -> None:
    for model_id in models.values():
        version = versions.find_openai(model_id)
        if version:
            versions.delete(version)
