"""The report page of a fine-tuning run."""

from dataclasses import replace
from pathlib import Path

from data.conversation import Row
from evals.generation import Scores
from evals.metrics import METRICS
from evals.primary import of_answers
from recipes.html_report import page, record
from recipes.html_report.commands import commands
from recipes.html_report.facts import Figure, Item, ReportFacts, flags, make_items, metric_lines, row_values, suites_of
from recipes.html_report.limits import limits
from recipes.sft.report import side_effects_line
from recipes.sft.stop_on import PICTURE
from recipes.sft.types import Job, Outcome
from registry import lineage
from registry.runs import Run
from registry.versions import Version

CURVE = "Loss by optimizer step of the training rows and of the validation rows; the best step is marked."


def record_page(job: Job, run: Run, outcome: Outcome, version: Version) -> str:
    """Keep the page with the run; returns where it is, for the screen."""
    curve = page.figure("Training curve", CURVE, run.folder / "loss_curve.png")
    figures = curve + _by_step(outcome, run.folder / PICTURE)
    facts = facts_of(job, outcome, version.reference, run.run_id, figures)
    return record.record_page(run, facts, outcome.claims)


def facts_of(job: Job, outcome: Outcome, version: str, run_id: str, figures: tuple[Figure, ...]) -> ReportFacts:
    """What the page shows.

    Args:
        version: the registered one, as ``pirate/3``.
    """
    config, rows = job.config, job.rows
    lines = metric_lines(outcome.before.values, outcome.after.values, outcome.changes, job.metrics)
    ranked_by = of_answers(job.primary)
    items = items_of(rows.test, outcome.before, outcome.after, ranked_by)
    method = "LoRA" if config.method == "lora" else "all weights"
    step = outcome.tuned.fitted.restored_step
    suites = suites_of(lines)
    primary = next((line for line in lines if line.name == job.primary), None)
    seeds = f"One training run, with seed {config.seed}. Another seed gives another model; how different is unknown."
    return ReportFacts(
        title=f"{version}: {job.start or job.base.source.name} fine-tuned on {config.dataset}",
        subtitle=f"{method}, {len(rows.train):,} training rows, {config.epochs} epochs, weights of step {step}",
        sides=outcome.sides,
        verdict=outcome.verdict.name,
        reasons=outcome.verdict.reasons,
        primary=job.primary,
        metrics=lines,
        rows=len(rows.test),
        items=items,
        order=METRICS[ranked_by].shown_as,
        lowest_is_best=METRICS[ranked_by].higher_is_better is False,
        figures=figures,
        lineage=origin(job, run_id),
        commands=commands(job.entry, config, lineage.code_state()),
        notes=(*rows.notes, f"side effects: {side_effects_line(outcome)}"),
        limits=limits(primary, len(rows.test), items, seeds, rows.test_name, suites),
    )


def _by_step(outcome: Outcome, picture: Path) -> tuple[Figure, ...]:
    """The picture of side effects by step with what it shows; empty without ``stop_on``."""
    if outcome.by_step is None:
        return ()
    found = page.figure("Side effects by step", "", picture)
    return tuple(replace(each, caption=f"{'. '.join(outcome.by_step.sentences)}.") for each in found)


def items_of(rows: list[Row], before: Scores, after: Scores, primary: str) -> tuple[Item, ...]:
    """The held-out rows with both models' answers, each scored by ``primary``."""
    texts = [
        (row.prompt, row.response, first.text, second.text)
        for row, first, second in zip(rows, before.answers, after.answers, strict=True)
    ]
    both = (before.statistics, after.statistics)
    scores = tuple(row_values(primary, each, len(rows)) for each in both)
    found = tuple(flags(each, len(rows)) for each in both)
    return make_items(texts, (scores[0], scores[1]), (found[0], found[1]))


def origin(job: Job, run_id: str) -> tuple[tuple[str, str], ...]:
    """Rows, base, run, code and environment as (label, value)."""
    rows, source, digests = job.rows, job.base.source, job.rows.digests()
    return (
        ("training rows", f"{len(rows.train):,} of {job.config.dataset}, digest {digests['dataset_digest']}"),
        ("validation rows", f"{len(rows.validation):,}, digest {digests['validation_digest']}"),
        ("held-out rows", f"{len(rows.test):,}, {rows.test_name}, digest {digests['test_digest']}"),
        ("rows left out", "; ".join(rows.notes) or "none; no held-out prompt is trained on"),
        ("base", f"{source.name}, weights {source.digest} ({source.source})"),
        *record.origin_lines(run_id),
    )
