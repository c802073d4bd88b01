"""The noisy-labels job: wrong labels in, an honest account of what they did to a learner out."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace

import numpy as np

from data.errors import UserError
from data.labelled import AnyRow, Dataset, QuestionRow, label_counts
from data.sampling import sample
from evals import classification, label_errors, label_verdict, multiple_choice, sanity_checks, significance
from evals.classification import Prediction
from evals.verdict import Verdict
from recipes.noisy_labels import data, record, report
from recipes.noisy_labels.config import NoisyConfig
from recipes.noisy_labels.data import NoisyData
from recipes.noisy_labels.learners.base import Learner
from recipes.noisy_labels.learners.factory import make
from recipes.noisy_labels.types import CurvePoint, Evaluation, NoisyJob, NoisyOutcome, OnTraining
from registry.runs import Run
from train import distributed
from train.loop import timed

#: Training rows that are asked at every kept checkpoint; the last weights are asked about all of them.
CURVE_ROWS = 300


def noisy(config: NoisyConfig, run: Run) -> Iterator[str]:
    """Do the job and yield the lines that its user reads.

    Raises:
        UserError: anything the user can mend; nothing is trained or registered then.
    """
    if distributed.world_size() > 1:
        raise UserError("noisy runs in one process; start it without torchrun or accelerate launch")
    dataset = data.read(config)  # before a base is loaded, which takes longer than finding a fault here
    if not config.is_remote:
        _set_threads(config)
    with closing(make(config)) as learner:
        yield from _taught(config, dataset, learner, run)


def _taught(config: NoisyConfig, dataset: Dataset, learner: Learner, run: Run) -> Iterator[str]:
    reading = learner.reading()
    rows = data.prepare(config, dataset, reading)
    flight = learner.estimate_cost(rows, data.preflight(rows, config, reading))
    yield "\n".join(["Preflight", *(f"  {line}" for line in flight.lines())])
    flight.require()
    lines = learner.start(rows, run)
    job = NoisyJob(config, rows, flight)
    if config.resume:
        _require_same(job, learner, run)
    record.record_start(job, learner, run)
    yield "\n".join([report.describe(job, learner), *lines])
    if config.dry_run:
        run.text(report.dry_run(job, learner, lines), "dry_run.md")
        run.tags({"dry_run": "true"})
        yield "\nNothing was trained or sent (dry_run=true); the run keeps dry_run.md and the rows"
        return
    outcome = learn(job, learner, run)
    run.require_server()
    record.record_results(job, learner, run, outcome)
    version, champion = record.register(job, learner, run, outcome)
    yield report.report(outcome, f"{version.name}/{version.number}", champion)


def learn(job: NoisyJob, learner: Learner, run: Run) -> NoisyOutcome:
    """Ask the base, teach, ask again, look at the training rows, and judge."""
    learner.submit(run)
    before, before_s = timed(evaluate, job, learner)
    rows = _curve_rows(job.material, learner)
    untaught = [CurvePoint(0, _memory(learner.score_labels(rows), rows, job.material))]
    taught, train_s = timed(learner.train, run)
    after, after_s = timed(evaluate, job, learner)
    on_training, training_rows_s = timed(look_at_training, job, learner, run, untaught)
    compared, verdict = _judged(job, before, after, on_training.memory)
    seconds = {"train": train_s, "evaluate": before_s + after_s, "training_rows": training_rows_s}
    points = _points(job, learner, before, on_training.curve) if learner.registers_points else {}
    return NoisyOutcome(taught, before, after, compared, on_training, verdict, seconds, points)


def _judged(
    job: NoisyJob, before: Evaluation, after: Evaluation, memory: label_errors.Memorization
) -> tuple[significance.Comparison, Verdict]:  # fmt: skip
    compared = significance.compare(*_paired(job, before, after))
    if before.report and after.report:
        return compared, label_verdict.judge_labels(after.report, compared, memory, _flipped(job.material))
    return compared, label_verdict.judge_questions(before.primary[1], after.primary[1], compared)


def _points(
    job: NoisyJob, learner: Learner, before: Evaluation, curve: Sequence[CurvePoint]
) -> dict[int, tuple[Evaluation, Verdict]]:  # fmt: skip
    """The test rows at every point but the one in force."""
    memories = {point.step: point.memory for point in curve}
    found, restored = {}, learner.step
    for step in learner.points():
        if step != restored:
            learner.load_checkpoint(step)
            evaluation = evaluate(job, learner)
            found[step] = evaluation, _judged(job, before, evaluation, memories[step])[1]
    learner.load_checkpoint(restored)
    return found


def evaluate(job: NoisyJob, learner: Learner) -> Evaluation:
    """The test rows, as the learner is now: answers for texts, weighed choices for questions."""
    rows, test = job.material, job.material.test
    if rows.dataset.is_questions:
        found = learner.choices(test)
        report = multiple_choice.judge_choices(test, found)  # type: ignore[arg-type]
        hits = [
            Prediction("error") if probs is None else Prediction(1 if multiple_choice.mc1(row.mc1, probs) else 0)
            for row, probs in zip(test, found, strict=True)
            if isinstance(row, QuestionRow)
        ]
        return Evaluation(hits, None, report, [])
    answers = learner.predict(test)
    report = classification.judge(rows.truth, answers, rows.labels, job.config.seed)
    return Evaluation(answers, report, None, sanity_checks.alarms(rows.truth, answers, test, rows.labels))


def look_at_training(job: NoisyJob, learner: Learner, run: Run, curve: list[CurvePoint]) -> OnTraining:
    """What the learner made of the rows it was taught: memory over its checkpoints, and which labels it doubts."""
    rows = job.material
    sampled = _curve_rows(rows, learner)
    restored = learner.step
    for step in learner.points():
        learner.load_checkpoint(step)
        curve.append(CurvePoint(step, _memory(learner.score_labels(sampled), sampled, rows)))
    learner.load_checkpoint(restored)
    asked = rows.train.rows if learner.most_training_rows is None else sampled
    leaning = learner.score_labels(asked)
    losses = _losses(rows, asked, leaning)
    known = [(loss, hit) for loss, hit in zip(losses, rows.train.flipped, strict=True) if loss is not None]
    in_sample = label_errors.detect([loss for loss, _ in known], [hit for _, hit in known])
    found = OnTraining(curve, _memory(leaning, asked, rows), in_sample, losses, len(asked))
    folds = job.config.folds_in_force
    if folds < 2 or min(label_counts(rows.train.rows)) < 2:
        return found
    return _out_of_fold(job, learner, run, found)


def _losses(rows: NoisyData, asked: Sequence[AnyRow], leaning: Sequence[Prediction]) -> list[float | None]:
    """The loss of each training row's given label, None where it was not asked or where nothing is known of it."""
    known = [(row, each.p_positive) for row, each in zip(asked, leaning, strict=True) if each.p_positive is not None]
    losses = label_errors.losses([p for _, p in known], [row.label for row, _ in known]).tolist()
    by_id = {row.id: loss for (row, _), loss in zip(known, losses, strict=True)}
    return [by_id.get(row.id) for row in rows.train.rows]


def _out_of_fold(job: NoisyJob, learner: Learner, run: Run, found: OnTraining) -> OnTraining:
    rows, config = job.material, job.config
    fit = learner.fit(run)
    p_positive = label_errors.out_of_fold(fit, rows.train.rows, rows.given, config.seed, config.folds_in_force)
    losses = label_errors.losses(p_positive, rows.given)
    seen = label_errors.detect(losses, rows.train.flipped)
    pruning = None
    if seen.flipped_share and not rows.dataset.is_questions:
        pruning = label_errors.prune_and_retrain(
            fit, rows.train.rows, rows.train.originals, losses, seen.flipped_share, rows.test, before=_Asked(learner)
        )
    return replace(found, losses=losses.tolist(), out_of_fold=seen, pruning=pruning)


class _Asked:
    """A learner as what ``evals.label_errors`` compares with."""

    def __init__(self, learner: Learner):
        self.learner = learner

    def p_positive(self, rows: Sequence[AnyRow]) -> np.ndarray:
        return _p(self.learner.score_labels(rows))


def _curve_rows(rows: NoisyData, learner: Learner) -> list[AnyRow]:
    """At most ``CURVE_ROWS`` of the taught rows, or as many as it may be asked of, with every given label's share."""
    taught = rows.train.rows
    most = CURVE_ROWS if learner.most_training_rows is None else learner.most_training_rows
    return sample(taught, min(most, len(taught)), rows.train.noise.seed) if most else []


def _memory(leaning: Sequence[Prediction], asked: Sequence[AnyRow], rows: NoisyData) -> label_errors.Memorization:
    true = dict(zip((row.id for row in rows.train.rows), rows.train.originals, strict=True))
    return label_errors.memory(
        [each.outcome for each in leaning], [row.label for row in asked], [true[row.id] for row in asked]
    )


def _p(leaning: Sequence[Prediction]) -> np.ndarray:
    return np.array([each.p_positive for each in leaning], dtype=float)


def _flipped(rows: NoisyData) -> tuple[int, int]:
    """How many taught rows of each true label were flipped."""
    hits = [label for label, hit in zip(rows.train.originals, rows.train.flipped, strict=True) if hit]
    return hits.count(0), hits.count(1)


def _paired(
    job: NoisyJob, before: Evaluation, after: Evaluation
) -> tuple[list[int], list[Prediction], list[Prediction]]:
    truth = [1] * len(job.material.test) if before.report is None else job.material.truth
    return truth, before.predictions, after.predictions


def _require_same(job: NoisyJob, learner: Learner, run: Run) -> None:
    """Refuse to go on with other rows or another base than the run began with.

    Raises:
        UserError: naming what has changed since.
    """
    known = run.known_tags()
    now = {**job.material.digests(), "base_digest": learner.base_digest}
    names = {"dataset_digest": "training labels", "clean_digest": "training rows", "test_digest": "test rows"}
    changed = [
        names.get(key, key.replace("_digest", "")) for key, value in now.items() if known.get(key, value) != value
    ]
    if changed:
        raise UserError(
            f"resume={run.run_id}: the {', '.join(changed)} changed since the run began, so it can't go on as if "
            "nothing had happened; put them back, or start a new run"
        )


def _set_threads(config: NoisyConfig) -> None:
    import torch

    torch.set_num_threads(config.threads or torch.get_num_threads())
