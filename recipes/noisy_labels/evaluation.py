"""A learner evaluated on the test rows and on its training rows, and compared with its base."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from data.labelled import AnyRow, label_counts
from data.sampling import sample
from evals import label_errors, label_verdict, metrics, multiple_choice, sanity_checks, significance
from evals.classification import Prediction
from evals.label_errors import Memorization
from evals.significance import ClassifierComparison
from evals.suites import table as suites
from evals.suites.suite import HeldOut, Suite, SuiteResult
from evals.verdict import Verdict
from recipes.noisy_labels.data import NoisyData
from recipes.noisy_labels.learners.base import Learner
from recipes.noisy_labels.types import CurvePoint, EvaluatedCheckpoint, Evaluation, NoisyJob, TrainingEvaluation
from registry.runs import Run

#: Training rows that are scored at every kept checkpoint; the final weights score all of them.
CURVE_ROWS = 300


def evaluate(job: NoisyJob, learner: Learner) -> Evaluation:
    """All suites that apply, with the weights in force: labels of texts or choices of questions, and further ones."""
    return _evaluation(job, suites.evaluate(learner, _suites(job)))


def evaluate_both(job: NoisyJob, learner: Learner) -> tuple[Evaluation, Evaluation]:
    """The same of the base that the learner holds, and with the weights in force."""
    before, after = suites.evaluate_both(learner, _suites(job))
    return _evaluation(job, before), _evaluation(job, after)


def _suites(job: NoisyJob) -> list[Suite[Any, Any]]:
    return suites.choose(HeldOut(job.data.test, job.data.labels, job.config.seed))


def _evaluation(job: NoisyJob, results: suites.Results) -> Evaluation:
    data = job.data
    others = suites.metrics({name: result for name, result in results.items() if not result.suite.on_held_out})
    if "choices" in results:
        return _evaluate_questions(results["choices"], others)
    answers: list[Prediction] = list(results["labels"].outputs)
    report: Any = results["labels"].report
    doubts = sanity_checks.warnings(data.truth, answers, data.test, data.labels)
    return Evaluation(answers, report, None, doubts, others)


def _evaluate_questions(result: SuiteResult, others: Mapping[str, float]) -> Evaluation:
    """A question is answered right where MC1 is; its log-probabilities may be unknown."""
    hits = [
        Prediction("error") if probs is None else Prediction(1 if multiple_choice.mc1(row.mc1, probs) else 0)
        for row, probs in zip(result.suite.items, result.outputs, strict=True)
    ]
    report: Any = result.report
    return Evaluation(hits, None, report, [], others)


def compare(
    job: NoisyJob, before: Evaluation, after: Evaluation, memorization: Memorization
) -> tuple[ClassifierComparison, Verdict]:
    """Both models compared on the same test rows, and the verdict on the second one."""
    truth = job.data.truth if before.report else [1] * len(job.data.test)
    changes = metrics.changes(before.statistics, after.statistics, job.config.seed)
    compared = significance.compare_classifiers(truth, before.predictions, after.predictions, changes)
    if before.report and after.report:
        flipped = _flipped_counts(job.data)
        return compared, label_verdict.decide_labels(before.report, after.report, compared, memorization, flipped)
    first, second = (each.metrics().get("mc1") for each in (before, after))
    return compared, label_verdict.decide_questions(first, second, compared)


def _flipped_counts(data: NoisyData) -> tuple[int, int]:
    """Number of flipped training rows whose true label is 0, and 1."""
    true = [label for label, flipped in zip(data.train.originals, data.train.flipped, strict=True) if flipped]
    return true.count(0), true.count(1)


def evaluate_checkpoints(
    job: NoisyJob, learner: Learner, before: Evaluation, curve: Sequence[CurvePoint]
) -> dict[int, EvaluatedCheckpoint]:
    """The test rows at every kept step but the one in force, which is loaded again at the end."""
    memorized = {point.step: point.memorization for point in curve}
    evaluated: dict[int, EvaluatedCheckpoint] = {}
    restored = learner.step
    for step in learner.kept_steps():
        if step != restored:
            learner.load_checkpoint(step)
            evaluation = evaluate(job, learner)
            evaluated[step] = (evaluation, *compare(job, before, evaluation, memorized[step]))
    learner.load_checkpoint(restored)
    return evaluated


def curve_point(job: NoisyJob, learner: Learner) -> CurvePoint:
    """Memorisation at the step in force, on the sample of training rows that all checkpoints share."""
    rows = _curve_rows(job.data, learner)
    return CurvePoint(learner.step, _memorization(learner.score_labels(rows), rows, job.data))


def _curve_rows(data: NoisyData, learner: Learner) -> list[AnyRow]:
    """A stratified sample of ``CURVE_ROWS`` training rows, or of as many as the learner may score."""
    rows = data.train.rows
    most = CURVE_ROWS if learner.max_scored_rows is None else learner.max_scored_rows
    return sample(rows, min(most, len(rows)), data.train.noise.seed) if most else []


def evaluate_training_rows(job: NoisyJob, learner: Learner, run: Run, base_point: CurvePoint) -> TrainingEvaluation:
    """Memorisation over the checkpoints, and how well losses find the flipped labels, in sample and out of fold."""
    data = job.data
    rows = data.train.rows if learner.max_scored_rows is None else _curve_rows(data, learner)
    scored = learner.score_labels(rows)
    curve = [base_point, *_checkpoint_curve(job, learner, rows, scored)]
    losses = _given_label_losses(data, rows, scored)
    known = [(loss, flipped) for loss, flipped in zip(losses, data.train.flipped, strict=True) if loss is not None]
    in_sample = label_errors.detect([loss for loss, _ in known], [flipped for _, flipped in known])
    found = TrainingEvaluation(curve, _memorization(scored, rows, data), in_sample, losses, len(rows))
    if job.config.folds_in_force < 2 or min(label_counts(data.train.rows)) < 2:
        return found
    return _with_out_of_fold(found, job, learner, run)


def _checkpoint_curve(
    job: NoisyJob, learner: Learner, rows: Sequence[AnyRow], scored: Sequence[Prediction]
) -> list[CurvePoint]:
    """A point for each kept step; at the step in force all ``rows`` of the curve are ``scored`` already."""
    restored, curve = learner.step, []
    known = dict(zip((row.id for row in rows), scored, strict=True))
    for step in learner.kept_steps():
        if step == restored:
            sampled = _curve_rows(job.data, learner)
            found = _memorization([known[row.id] for row in sampled], sampled, job.data)
            curve.append(CurvePoint(step, found))
        else:
            learner.load_checkpoint(step)
            curve.append(replace(curve_point(job, learner), step=step))
    learner.load_checkpoint(restored)
    return curve


def _memorization(scored: Sequence[Prediction], rows: Sequence[AnyRow], data: NoisyData) -> Memorization:
    true = dict(zip((row.id for row in data.train.rows), data.train.originals, strict=True))
    return label_errors.memory(
        [each.outcome for each in scored], [row.label for row in rows], [true[row.id] for row in rows]
    )


def _given_label_losses(data: NoisyData, rows: Sequence[AnyRow], scored: Sequence[Prediction]) -> list[float | None]:
    """Loss of every training row's given label in nats; None where it was not scored or its probability is unknown."""
    known = [(row, each.p_positive) for row, each in zip(rows, scored, strict=True) if each.p_positive is not None]
    losses = label_errors.losses([p for _, p in known], [row.label for row, _ in known]).tolist()
    by_id = {row.id: loss for (row, _), loss in zip(known, losses, strict=True)}
    return [by_id.get(row.id) for row in data.train.rows]


def _with_out_of_fold(found: TrainingEvaluation, job: NoisyJob, learner: Learner, run: Run) -> TrainingEvaluation:
    """The same with out-of-fold losses and, where labels were flipped, the effect of pruning by them."""
    data, config, train = job.data, job.config, job.data.train
    fit = learner.fit(run)
    p_positive = label_errors.out_of_fold(fit, train.rows, data.given, config.seed, config.folds_in_force)
    losses = label_errors.losses(p_positive, data.given)
    detection = label_errors.detect(losses, train.flipped)
    found = replace(found, losses=losses.tolist(), out_of_fold=detection)
    return found if data.dataset.is_questions else _with_pruning(found, job, learner, fit, p_positive)


def _with_pruning(
    found: TrainingEvaluation, job: NoisyJob, learner: Learner, fit: label_errors.Fit, p_positive: np.ndarray
) -> TrainingEvaluation:
    """The same with the effect of leaving out as many suspect rows as were flipped, and as many as seem to be."""
    data, train = job.data, job.data.train

    def pruned(dropped: int) -> label_errors.Pruning | None:
        if not 0 < dropped < len(train.rows):
            return None
        share = dropped / len(train.rows)
        return label_errors.prune_and_retrain(
            fit, train.rows, train.originals, np.array(found.losses), share, data.test, before=_Scorer(learner)
        )

    flips, estimated = sum(train.flipped), label_errors.estimated_flips(p_positive, data.given)
    known = pruned(flips)
    by_estimate = known if estimated == flips else pruned(estimated)
    return replace(found, pruning=known, estimated_flips=estimated, pruning_by_estimate=by_estimate)


class _Scorer:
    """A learner as the classifier that ``evals.label_errors`` compares with."""

    def __init__(self, learner: Learner) -> None:
        self.learner = learner

    def p_positive(self, rows: Sequence[AnyRow]) -> np.ndarray:
        return np.array([each.p_positive for each in self.learner.score_labels(rows)], dtype=float)
