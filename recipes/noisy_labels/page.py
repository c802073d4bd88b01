"""The report page of a noisy-labels run."""

from collections.abc import Mapping

import numpy as np

from data.labelled import AnyRow, Labels, QuestionRow
from evals.metrics import METRICS
from recipes.html_report import page, record
from recipes.html_report.commands import commands
from recipes.html_report.facts import Figure, ReportFacts, flags, make_items, metric_lines, row_values
from recipes.html_report.limits import limits
from recipes.noisy_labels.learners.base import Learner
from recipes.noisy_labels.report import title
from recipes.noisy_labels.types import NoisyJob, NoisyOutcome
from registry import lineage
from registry.runs import Run
from registry.versions import Version

CURVE = "Loss by optimizer step of the training rows, as they are labelled, and of validation rows labelled likewise."
#: What is shown of a question: whether its best answer is likelier than every incorrect one.
RIGHT = ("another choice is likelier", "the best choice is the likeliest")
PICTURES = (("Confusion", "confusion"), ("Reliability, tuned", "reliability_tuned"))


def record_page(job: NoisyJob, learner: Learner, run: Run, outcome: NoisyOutcome, version: Version) -> str:
    """Keep the page with the run; returns where it is, for the screen."""
    figures = page.figure("Training curve", CURVE, run.folder / "loss_curve.png")
    for heading, name in PICTURES:
        figures += page.figure(heading, heading, run.folder / "plots" / f"{name}.png")
    facts = facts_of(job, learner, outcome, version.reference, run.run_id, figures)
    return record.record_page(run, facts, outcome.claims)


def facts_of(
    job: NoisyJob,
    learner: Learner,
    outcome: NoisyOutcome,
    version: str,
    run_id: str,
    figures: tuple[Figure, ...],
) -> ReportFacts:
    """What the page shows.

    Args:
        version: the registered one, as ``noisy/3``.
    """
    config, rows, primary = job.config, job.data, job.primary
    lines = metric_lines(outcome.before.metrics(), outcome.after.metrics(), outcome.changes)
    both = (outcome.before.statistics, outcome.after.statistics)
    (order, before), (_, after) = map(row_scores, both)
    names = RIGHT if rows.dataset.is_questions else rows.labels
    texts = [
        (row.text, _true(row, rows.labels), b.name(names), a.name(names))
        for row, b, a in zip(rows.test, outcome.before.predictions, outcome.after.predictions, strict=True)
    ]
    n = len(rows.test)
    items = make_items(texts, (before, after), (flags(both[0], n), flags(both[1], n)))
    done = rows.corrupted.summary()
    line = next((each for each in lines if each.name == primary), None)
    seeds = (
        f"One training run, with seed {config.seed} and noise_seed {config.noise_seed}. Other wrong labels of the same "
        "kind, and other seeds, give other models; how different is unknown (-e study repeats them)."
    )
    return ReportFacts(
        title=f"{version}: {title(job)}",
        subtitle=f"{done['flipped']:,} of {done['rows']:,} training labels made wrong, weights of step {learner.step}",
        sides=("base", "tuned"),
        verdict=outcome.verdict.name,
        reasons=outcome.verdict.reasons,
        primary=primary,
        metrics=lines,
        rows=n,
        items=items,
        order=order,
        lowest_is_best=False,
        figures=figures,
        lineage=_lineage(job, learner, run_id),
        commands=commands("noisy", config, lineage.code_state()),
        notes=tuple(f"warning: {each}" for each in outcome.after.warnings),
        limits=limits(line, n, items, seeds, f"test rows of {rows.dataset.name}, with their true labels"),
    )


def row_scores(statistics: Mapping[str, np.ndarray]) -> tuple[str, list[float | None]]:
    """(what rows are ordered by, its value for each row): the probability of the true label where all are known.

    A row alone is right or wrong, which would order nothing.
    """
    hits = "accuracy" if "accuracy" in statistics else "mc1"
    rows = len(statistics[hits])
    if "brier" in statistics and len(statistics["brier"]) == rows:
        return "probability of the true label", (1 - np.sqrt(statistics["brier"][:, 0])).tolist()
    return METRICS[hits].shown_as, row_values(hits, statistics, rows)


def _true(row: AnyRow, labels: Labels) -> str:
    return row.best if isinstance(row, QuestionRow) else labels[row.label]


def _lineage(job: NoisyJob, learner: Learner, run_id: str) -> tuple[tuple[str, str], ...]:
    rows, digests = job.data, job.data.digests()
    done = rows.corrupted.summary()
    wrong = f"{done['flipped']:,} labels wrong ({done['kind']}, rate {done['rate']:g}), mask {digests['mask_digest']}"
    return (
        ("training rows", f"{done['rows']:,} of {rows.dataset.name}, digest {digests['dataset_digest']}; {wrong}"),
        ("validation rows", f"{len(rows.validation):,}"),
        ("test rows", f"{len(rows.test):,}, digest {digests['test_digest']}"),
        ("texts cut", f"{rows.cut:,} at the learner's limit of tokens"),
        ("base", " ".join(filter(None, (learner.base, learner.base_digest, learner.base_source)))),
        *record.origin_lines(run_id),
    )
