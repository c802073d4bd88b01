"""The report page of trainings that differ in nothing but their seed: what they show together."""

from collections.abc import Sequence
from dataclasses import dataclass

from evals.claims import Result
from evals.metrics import format_of
from evals.paired import Difference
from recipes.html_report import record
from recipes.html_report.commands import commands
from recipes.html_report.facts import ReportFacts, metric_lines, suites_of
from recipes.html_report.limits import limits
from recipes.sft.page import origin
from recipes.sft.types import Job
from registry import lineage
from registry.champion import Promotion
from registry.runs import Run
from registry.versions import Version


@dataclass(frozen=True)
class Line:
    """A metric over seeds: its change with its interval, and how much of the uncertainty is the seeds'.

    ``over_seeds``: standard deviation of the change over seeds; ``over_items``: standard error of the mean change that
    comes from the test rows alone.
    """

    metric: str
    change: Difference
    over_seeds: float
    over_items: float


def record_page(
    job: Job, run: Run, lines: Sequence[Line], found: Sequence[Result], trained: Sequence[Version], promotion: Promotion
) -> str:
    """Keep the page with the parent's run; returns where it is, for the screen.

    Args:
        found: the outcomes of the claims.
        trained: the version of each seed.
    """
    return record.record_page(run, facts_of(job, run.run_id, lines, trained, promotion), found)


def facts_of(
    job: Job, run_id: str, lines: Sequence[Line], trained: Sequence[Version], promotion: Promotion
) -> ReportFacts:
    """What the page shows: no examples and no curves, which are those of each seed's own page."""
    config, rows, n = job.config, job.rows, len(trained)
    healthy = sum(each.tags["verdict"] == "healthy" for each in trained)
    changes = {line.metric: line.change for line in lines}
    before = {name: each.before for name, each in changes.items()}
    measured = metric_lines(before, {name: each.after for name, each in changes.items()}, changes, job.metrics)
    primary = next((line for line in measured if line.name == job.primary), None)
    suites = suites_of(measured)
    seeds = f"{n} trainings, with the seeds {config.seeds}; intervals hold for rows and seeds like these together."
    versions = ", ".join(f"{each.reference} ({each.tags['verdict']}, run {each.run_id})" for each in trained)
    return ReportFacts(
        title=f"{config.register_as}: {job.start or job.base.source.name} fine-tuned on {config.dataset}",
        subtitle=f"Seeds {config.seeds} together; figures are means over seeds",
        sides=job.sides,
        verdict="healthy" if healthy == n else f"{healthy} of {n} healthy",
        reasons=(f"{healthy} of {n} seeds are healthy", promotion.sentence),
        primary=job.primary,
        metrics=measured,
        rows=len(rows.test),
        items=(),
        order="",
        lowest_is_best=False,
        figures=(),
        lineage=(("versions", versions), *origin(job, run_id)),
        commands=commands(job.entry, config, lineage.code_state()),
        notes=(*rows.notes, *(_spread(line) for line in lines if line.metric == job.primary)),
        limits=limits(primary, len(rows.test), (), seeds, rows.test_name, suites),
    )


def _spread(line: Line) -> str:
    form = format_of(line.metric)
    return (
        f"the change of {line.metric} has a standard deviation of {line.over_seeds:{form}} over seeds, and a standard "
        f"error of {line.over_items:{form}} over rows; seeds.md has those of all metrics"
    )
