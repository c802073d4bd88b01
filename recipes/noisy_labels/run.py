"""The noisy-labels recipe: train a learner on partly wrong labels and measure what they did to it."""

from collections.abc import Iterator, Sequence
from contextlib import closing

from data.errors import UserError
from data.timing import timed
from evals.primary import choose
from inference.threads import set_threads
from recipes import claims
from recipes.noisy_labels import claims as own_claims
from recipes.noisy_labels import page, record, report
from recipes.noisy_labels.config import NoisyConfig
from recipes.noisy_labels.data import prepare, read, run_preflight
from recipes.noisy_labels.evaluation import (
    compare,
    curve_point,
    evaluate,
    evaluate_both,
    evaluate_checkpoints,
    evaluate_training_rows,
)
from recipes.noisy_labels.learners.base import Learner
from recipes.noisy_labels.learners.factory import make
from recipes.noisy_labels.types import NoisyJob, NoisyOutcome
from recipes.resume import NAMES, require_same
from registry.runs import Run
from train import distributed

#: What digests of labelled rows are of.
OF_LABELS = {**NAMES, "dataset_digest": "training labels", "clean_digest": "training rows"}


def noisy(config: NoisyConfig, run: Run) -> Iterator[str]:
    """Load, tokenize, evaluate, train, evaluate, record and register; yields the lines that the user sees.

    Raises:
        UserError: a mistake that the user can correct; nothing is trained or registered then.
    """
    if distributed.world_size() > 1:
        raise UserError("noisy runs in one process; start it without torchrun or accelerate launch")
    dataset = read(config)  # before a base is loaded, which takes longer than finding a fault in the data
    primary = choose(config.primary, "choices" if dataset.is_questions else "labels").name
    claimed = own_claims.read(config, None if dataset.is_questions else dataset.labels)
    if not config.is_remote:
        set_threads(config.threads)
    with closing(make(config)) as learner:
        limits = learner.token_limits()
        data = prepare(config, dataset, limits)
        preflight = learner.estimate_cost(data, run_preflight(data, config, limits))
        yield "\n".join(["Preflight", *(f"  {line}" for line in preflight.lines())])
        preflight.require()
        job = NoisyJob(config, data, preflight, claimed, primary)
        plan = learner.start(data, run)
        if config.resume:
            digests = {"base_digest": learner.base_digest, "claims_digest": job.claims.digest}
            require_same(run, {**job.data.digests(), **digests}, OF_LABELS)
        record.record_start(job, learner, run)
        yield "\n".join([report.describe(job, learner), *claims.describe(claimed, config.claims), *plan])
        if config.dry_run:
            yield _end_dry_run(job, learner, run, plan)
            return
        outcome = train_and_evaluate(job, learner, run)
        run.require_server()
        record.record_results(job, learner, run, outcome)
        version, champion = record.register(job, learner, run, outcome)
        record.record_scores(job, learner, run, outcome, version)
        place = page.record_page(job, learner, run, outcome, version)
        yield report.summary(outcome, version.reference, champion, place)


def train_and_evaluate(job: NoisyJob, learner: Learner, run: Run) -> NoisyOutcome:
    """Train, and evaluate base and trained model on the test rows, the training rows and the kept checkpoints.

    A learner that holds its base evaluates both in one batch after training; others evaluate the base before it.
    """
    learner.submit(run)
    base_point = curve_point(job, learner)
    if learner.holds_base:
        summary, train_s = timed(learner.train, run)
        (before, after), evaluate_s = timed(evaluate_both, job, learner)
    else:
        before, before_s = timed(evaluate, job, learner)
        summary, train_s = timed(learner.train, run)
        after, after_s = timed(evaluate, job, learner)
        evaluate_s = before_s + after_s
    training, training_rows_s = timed(evaluate_training_rows, job, learner, run, base_point)
    comparison, verdict = compare(job, before, after, training.memorization)
    seconds = {"train": train_s, "evaluate": evaluate_s, "training_rows": training_rows_s}
    checkpoints = {}
    if learner.registers_checkpoints:
        checkpoints = evaluate_checkpoints(job, learner, before, training.curve)
    found = claims.decide(job.claims, before.statistics, after.statistics, job.config.seed)
    verdict = claims.quoted(verdict, found)
    return NoisyOutcome(summary, before, after, comparison, training, verdict, seconds, checkpoints, found)


def _end_dry_run(job: NoisyJob, learner: Learner, run: Run, plan: Sequence[str]) -> str:
    run.text(report.dry_run(job, learner, plan), "dry_run.md")
    run.tags({"dry_run": "true"})
    return "\nNothing was trained or sent (dry_run=true); the run keeps dry_run.md and the rows"
