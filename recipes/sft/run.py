"""The main job: rows and base in, a judged model out; what is kept of it is ``publish``'s business."""

from collections.abc import Iterator
from typing import Any, TypeVar

from data import pirate
from data.chat_template import template_name
from data.errors import UserError
from evals.generation import Decoding, Scores, context_length, score
from evals.verdict import Verdict, decide
from recipes.sft import record, report
from recipes.sft.config import TuneConfig
from recipes.sft.data import load
from recipes.sft.types import Job, Outcome
from registry.runs import Run
from train import base_model, distributed, trainable
from train.encoding import encode
from train.loop import fit, timed
from train.resume import StateFolder

T = TypeVar("T")


def tune(config: TuneConfig, run: Run) -> Iterator[str]:
    """Do the job and yield the lines that its user reads.

    Raises:
        UserError: anything the user can mend, a diverged training included; nothing is registered then.
    """
    import torch

    torch.set_num_threads(config.threads or torch.get_num_threads())
    leads = distributed.rank() == 0
    job = prepare(config)
    if leads:
        if config.resume:
            require_same(job, run)
        record.record_start(job, run)
        yield describe(job)
    outcome = learn(job, run)
    if not leads:
        return
    run.require_server()
    record.record_results(job, run, outcome)
    version, promotion = record.register(job, run, outcome)
    yield record.report(job, outcome, version, promotion)


def prepare(config: TuneConfig) -> Job:
    """Read the rows, load the base and encode: everything that can be wrong with the input shows here."""
    rows = load(config)
    found = base_model.resolve(config.base_model)
    model, tokenizer = base_model.load(found, base_model.pick_device())
    trainable.check_targets(model, config)
    max_length = min(config.max_length, context_length(model))
    examples = encode(rows.train, tokenizer, config.labels, max_length)
    return Job(config, rows, found, model, tokenizer, examples, max_length)


def learn(job: Job, run: Run) -> Outcome:
    """Score the base, train, score the tuned model on the same rows, and judge. Beside rank 0, only train.

    Raises:
        Diverged: the loss stopped being a number.
    """
    leads, nothing = distributed.rank() == 0, Scores({}, [])
    before, before_s = timed(evaluate, job, job.model) if leads else (nothing, 0.0)
    model = trainable.make_trainable(job.model, job.config)
    checks = encode(job.rows.validation, job.tokenizer, "response", job.max_length)
    state = StateFolder(run.folder, keep_all=job.config.keeps_all)
    fitted = fit(model, job.examples, checks, job.config, state, run, job.config.peak_lr)
    after, after_s = timed(evaluate, job, model) if leads else (nothing, 0.0)
    run.log(fitted.restored_step, {"time/train_s": fitted.seconds, "time/evaluate_s": before_s + after_s})
    losses = dict(fitted.progress.history)
    past_best = losses[fitted.restored_step] / min(losses.values())
    verdict = decide(before.values, after.values, past_best) if leads else Verdict("healthy", ())
    return Outcome(model, fitted, before, after, verdict)


def require_same(job: Job, run: Run) -> None:
    """Refuse to go on with other rows or another base than the run began with.

    Raises:
        UserError: naming what has changed since.
    """
    known = run.known_tags()
    now = {**job.rows.digests(), "base_digest": job.base.digest}
    names = {"dataset_digest": "training rows", "validation_digest": "validation rows", "test_digest": "test rows"}
    changed = [names.get(key, "base model") for key, value in now.items() if known.get(key, value) != value]
    if changed:
        raise UserError(
            f"resume={run.run_id}: the {', '.join(changed)} changed since the run began, so it can't go on as if "
            "nothing had happened; put them back, or start a new run"
        )


def describe(job: Job) -> str:
    """What is about to happen, in three lines."""
    rows = job.rows
    masks = report.mask_report(job.examples, job.tokenizer.eos_token_id)
    return (
        f"Base    {job.base.name} {job.base.digest} ({job.base.reason}; {template_name(job.tokenizer)} template)\n"
        f"Rows    {len(rows.train)} to train on, {len(rows.validation)} to choose the checkpoint, "
        f"{len(rows.test)} to report ({rows.test_name})\n"
        f"Tokens  {masks['trained_tokens']:,} of {masks['tokens']:,} are trained (labels={job.config.labels}), "
        f"{masks['truncated_rows']} rows cut at {job.max_length} tokens"
    )


def evaluate(job: Job, model: Any) -> Scores:
    """Score ``model`` on the test rows; base and tuned model both come through here."""
    taught = sum(pirate.speaks_pirate(row.response) for row in job.rows.test) >= len(job.rows.test) / 2
    return score(
        model,
        job.tokenizer,
        job.rows.test,
        job.rows.train,
        Decoding(job.config.max_new_tokens),
        job.max_length,
        pirate.speaks_pirate if taught else None,
    )
