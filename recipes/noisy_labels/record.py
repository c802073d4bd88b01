"""What a noisy-labels run stores: params, data, metrics, tables, plots and a registered version."""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from data.formats import openai
from evals import classifier_plots, error_analysis, metrics
from evals.metrics import is_tag
from recipes import claims
from recipes.noisy_labels import report
from recipes.noisy_labels.learners.base import Learner
from recipes.noisy_labels.types import Evaluation, NoisyJob, NoisyOutcome
from recipes.promotion import promote
from recipes.run_names import columns
from registry import evaluation_run, lineage, registration, row_statistics, versions
from registry.runs import DataSet, Run

#: More rows than this are compressed as an artifact.
MAX_PLAIN_ROWS = 5000
MAX_SUSPECTS = 50
#: Rows of the table of answers, the first of the test rows in their seeded order: MLflow shows longer tables slowly.
MAX_ANSWERS = 2000


def record_start(job: NoisyJob, learner: Learner, run: Run) -> None:
    """Params, lineage, the training data and which labels are wrong: all before the first step."""
    config, rows = job.config, job.data
    run.params({k: v for k, v in dataclasses.asdict(config).items() if k != "resume"})
    run.tags({**start_tags(job, learner), **lineage.code_state()})
    digests = rows.digests()
    n, noise = len(rows.corrupted.rows), config.noise()
    given = f"{noise.kind} {noise.rate:g} seed {noise.seed}"
    run.datasets([
        (f"{config.dataset} train, true labels"[:250], digests["clean_digest"], config.dataset, n, "clean"),
        (f"{config.dataset} train, {given}"[:250], digests["dataset_digest"], config.dataset, n, "training"),
        _test_set(job),
        (f"mask {given}", digests["mask_digest"], "flip_mask.jsonl", n, "mask"),
    ])  # fmt: skip
    mask = run.folder / "flip_mask.jsonl"
    openai.write_lines(rows.corrupted.mask(), mask)
    run.file(mask, "data")
    name = "train.jsonl" if len(rows.train.rows) <= MAX_PLAIN_ROWS else "train.jsonl.gz"
    run.file(openai.write(rows.train.rows, run.folder / name, rows.labels, rows.template).path, "data")
    run.text(json.dumps(rows.corrupted.summary(), indent=1), "data/corruption.json")
    run.text("\n".join(job.preflight.lines()) + "\n", "preflight.txt")
    run.log(0, {f"preflight/{key}": value for key, value in job.preflight.numbers.items()})
    run.text(json.dumps({**dataclasses.asdict(config), **lineage.environment()}, indent=1), "config.json")
    claims.record_start(job.claims, run)


def start_tags(job: NoisyJob, learner: Learner) -> dict[str, Any]:
    """Tags of the run and of its version: the base, the data and the noise."""
    summary = job.data.corrupted.summary()
    return {
        "kind": learner.kind,
        "base_model": learner.base,
        "base_name": learner.base,
        "base_digest": learner.base_digest,
        "base_source": learner.base_source,
        "provider": job.config.provider,
        "noise": f"{summary['kind']} {summary['rate']:g}",
        "flipped": summary["flipped"],
        "mask_sha256": summary["mask_sha256"],
        "template": job.data.template.name,
        **columns(learner.base, job.config.dataset, summary["rate"]),
        **job.data.digests(),
    }


def record_results(job: NoisyJob, learner: Learner, run: Run, outcome: NoisyOutcome) -> None:
    """Curves, plots and tables; metrics of the training rows."""
    for point in outcome.training.curve:
        found = dataclasses.asdict(point.memorization)
        run.log(point.step, {f"curve/{key}": value for key, value in found.items() if value is not None})
    run.log(learner.step, {
        **outcome.training.metrics(),
    })  # fmt: skip
    run.flush()
    run.tags({
        "verdict": outcome.verdict.name,
        "verdict_reasons": "; ".join(outcome.verdict.reasons),
        "alarms": "; ".join(outcome.after.warnings) or "none",
    })  # fmt: skip
    _record_plots(job, run, outcome)
    _record_tables(job, run, outcome)
    row_statistics.save(run, outcome.after.statistics)
    claims.record_results(outcome.claims, report.title(job), run)
    run.text(json.dumps(report.results(job, outcome), indent=1), "eval_results.json")
    run.text(report.results_markdown(job, learner, outcome), "eval_results.md")


def record_scores(job: NoisyJob, learner: Learner, run: Run, outcome: NoisyOutcome, version: versions.Version) -> None:
    """The metrics of base and trained model on the test rows, their changes, and those of kept checkpoints."""
    compared = {"mcnemar": outcome.comparison.answers, "mcnemar_likelihood": outcome.comparison.likelihoods}
    scores = {
        step: metrics.both_sides({}, evaluation.metrics())
        for step, (evaluation, _, _) in sorted(outcome.checkpoints.items())
    }
    scores[learner.step] = {
        **metrics.both_sides(outcome.before.metrics(), outcome.after.metrics()),
        **metrics.change_metrics(outcome.changes),
        **{f"{name}/{key}": value for name, each in compared.items()
           for key, value in dataclasses.asdict(each).items() if value is not None},
        **{f"time/{key}_s": value for key, value in outcome.seconds.items()},
    }  # fmt: skip
    evaluation_run.record(run, scores, version.source, _test_set(job))


def _test_set(job: NoisyJob) -> DataSet:
    """The test rows as an input of a run."""
    given, rows = job.config, job.data
    source = given.test_dataset or given.dataset
    return f"{given.dataset} test"[:250], rows.digests()["test_digest"], source, len(rows.test), "testing"


def _record_plots(job: NoisyJob, run: Run, outcome: NoisyOutcome) -> None:
    folder = run.folder / "plots"
    folder.mkdir(parents=True, exist_ok=True)
    title = report.title(job)
    reports = [(name, e.report) for name, e in (("base", outcome.before), ("tuned", outcome.after)) if e.report]
    for name, evaluation in (("base", outcome.before), ("tuned", outcome.after)):
        if evaluation.report:
            where = folder / f"reliability_{name}.png"
            classifier_plots.reliability(
                job.data.truth, evaluation.predictions, evaluation.report, f"{title}: {name}", where
            )
    if reports:
        classifier_plots.confusion(reports, title, folder / "confusion.png")
    run.folder_of_files(folder, "plots")


def _record_tables(job: NoisyJob, run: Run, outcome: NoisyOutcome) -> None:
    rows = job.data
    if outcome.after.report:
        args = (rows.test, rows.truth, outcome.after.predictions, rows.labels)
        _table(run, error_analysis.most_confident(*args), "confident_mistakes.json")
        _table(run, error_analysis.by_group(*args), "mistakes_by_group.json")
        _table(run, answers(job, outcome.before, outcome.after), "eval_table.json")
    _table(run, suspects(job, outcome.training.losses), "suspect_rows.json")


def answers(job: NoisyJob, before: Evaluation, after: Evaluation) -> list[dict[str, Any]]:
    """One record a test row: its text and label, both models' answers and probabilities of label 1."""
    rows = job.data
    return [
        {"text": row.text, "true": rows.labels[row.label], "base": b.name(rows.labels), "base_p": b.p_positive,
         "tuned": a.name(rows.labels), "tuned_p": a.p_positive, "base_raw": b.raw, "tuned_raw": a.raw}
        for row, b, a in islice(zip(rows.test, before.predictions, after.predictions, strict=True), MAX_ANSWERS)
    ]  # fmt: skip


def suspects(job: NoisyJob, losses: Sequence[float | None]) -> list[dict[str, Any]]:
    """The training rows whose given label has the highest loss, and whether it was flipped."""
    train, labels = job.data.train, job.data.labels
    known = [(loss, i) for i, loss in enumerate(losses) if loss is not None]
    order = sorted(known, key=lambda pair: -pair[0])[:MAX_SUSPECTS]
    return [
        {"id": train.rows[i].id, "loss": loss, "given": labels[train.rows[i].label],
         "true": labels[train.originals[i]], "flipped": train.flipped[i], "text": train.rows[i].text}
        for loss, i in order
    ]  # fmt: skip


def _table(run: Run, records: Sequence[Mapping[str, Any]], name: str) -> None:
    if records:
        shown = [{key: "" if value is None else str(value) for key, value in record.items()} for record in records]
        run.table(shown, name)


def register(job: NoisyJob, learner: Learner, run: Run, outcome: NoisyOutcome) -> tuple[versions.Version, str]:
    """Log the model, verify it by reloading, register it; returns the version and a line about the champion.

    Evaluated checkpoints are registered before it, as versions of their own.
    """
    restored = learner.step
    for step, (after, comparison, verdict) in outcome.checkpoints.items():
        learner.load_checkpoint(step)
        own = dataclasses.replace(outcome, after=after, comparison=comparison, verdict=verdict)
        _register_one(job, learner, run, own)
    learner.load_checkpoint(restored)
    version = _register_one(job, learner, run, outcome)
    run.tags({"registered_version": version.reference})
    least, broken = job.config.least_gain, claims.broken(outcome.claims)
    value = outcome.after.metrics().get(job.primary, math.nan)
    promotion = promote(version, job.primary, value, outcome.after.statistics, least, broken)
    return version, promotion.sentence


def _register_one(job: NoisyJob, learner: Learner, run: Run, outcome: NoisyOutcome) -> versions.Version:
    saved = learner.save(run)
    scores = metrics.both_sides(outcome.before.metrics(), outcome.after.metrics())
    tags = {
        **start_tags(job, learner),
        **saved.tags,
        **{key: value for key, value in scores.items() if is_tag(key.partition("/")[2])},
        "verdict": outcome.verdict.name,
        "primary": job.primary,
        "step": learner.step,
    }
    card = report.card(job, learner, run.run_id, outcome)
    return registration.register(run, saved.model, job.config.register_as, tags, card)
