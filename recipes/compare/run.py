"""Two registered versions on the same rows: measure, compare in pairs, keep a page, print a line a metric."""

import dataclasses
from collections.abc import Generator, Iterator
from pathlib import Path

from data.errors import require
from evals.metrics import change_metrics, defined
from inference.threads import set_threads
from recipes.compare import answered, recorded
from recipes.compare.config import CompareConfig
from recipes.compare.types import Measured, Side
from recipes.html_report import examples, screen
from recipes.html_report.commands import commands
from recipes.html_report.facts import ReportFacts, metric_lines, suites_of
from recipes.html_report.limits import limits
from recipes.html_report.record import record_page
from registry import lineage, versions
from registry.runs import Run


def compare(config: CompareConfig, run: Run) -> Iterator[str]:
    """Compare the two versions and yield the lines that are printed.

    Raises:
        UserError: a version is unknown, or the two can't be compared.
    """
    set_threads(config.threads)
    first, second = sides(config)
    run.params(dataclasses.asdict(config))
    run.tags({"compared_first": first.name, "compared_second": second.name, **lineage.code_state()})
    yield f"Compare {first.name} with {second.name}"
    measured = yield from measure(config, first, second, run.folder)
    yield f"Rows    {measured.rows:,}: {measured.source}"
    facts = facts_of(config, first, second, measured, run.run_id)
    record(run, facts, measured)
    yield report(facts, record_page(run, facts))


def sides(config: CompareConfig) -> tuple[Side, Side]:
    """Both versions.

    Raises:
        UserError: there is no such version, or both are the same.
    """
    found = [versions.resolve(name) for name in config.pair]
    first, second = (Side(version, lineage.params_of(version.run_id)) for version in found)
    require(first.name != second.name, f"versions names {first.name} twice")
    return first, second


def measure(config: CompareConfig, first: Side, second: Side, folder: Path) -> Generator[str, None, Measured]:
    """Both versions on the same rows; yields lines on what is done.

    Raises:
        UserError: they can't be compared.
    """
    kinds = [recorded.is_classifier(side) for side in (first, second)]
    require(
        kinds[0] == kinds[1],
        f"versions: of {first.name} and {second.name} one was made by -e noisy, so they have no rows in common",
    )
    if kinds[0]:
        return recorded.measure(config, first, second)
    return (yield from answered.measure(config, first, second, folder))


def facts_of(config: CompareConfig, first: Side, second: Side, measured: Measured, run_id: str) -> ReportFacts:
    """What the page shows."""
    lines = metric_lines(measured.before, measured.after, measured.changes)
    primary = next((line for line in lines if line.name == measured.primary), None)
    better = {"better": f"{second.name} is better", "worse": f"{first.name} is better"}
    verdict = better.get(primary.outcome if primary else "", "undecided")
    more = primary.change.more_rows if primary and primary.change else 0
    reasons = [f"{primary.label} {primary.change.text(primary.format)}"] if primary and primary.change else []
    reasons += [f"{more:,} more rows would decide, if the change is as large as it seems"] if more else []
    suites = suites_of(lines)
    seeds = "One training run of each version. Runs with other seeds differ too, and how much is unknown."
    return ReportFacts(
        title=f"{first.name} and {second.name} on the same rows",
        subtitle=f"{measured.rows:,} rows: {measured.source}",
        sides=(first.name, second.name),
        verdict=verdict,
        reasons=tuple(reasons),
        primary=measured.primary,
        metrics=lines,
        rows=measured.rows,
        items=measured.items,
        order=measured.order,
        lowest_is_best=measured.lowest_is_best,
        figures=(),
        lineage=(
            *((side.name, _origin(side)) for side in (first, second)),
            ("rows", f"{measured.rows:,}, {measured.source}, digest {measured.digest}"),
            ("run", run_id),
            ("code", lineage.code_state()["git_commit"]),
            ("environment", ", ".join(f"{name} {version}" for name, version in lineage.environment().items())),
        ),
        commands=commands("compare", config, lineage.code_state(), ("threads",)),
        notes=measured.notes,
        limits=limits(primary, measured.rows, measured.items, seeds, measured.source, suites),
        is_comparison=True,
    )


def _origin(side: Side) -> str:
    tags = side.version.tags
    known = {
        "": tags.get("verdict", ""),
        "base": tags.get("base_model", ""),
        "base weights": tags.get("base_digest", ""),
        "training rows": tags.get("dataset_digest", ""),
        "run": side.version.run_id,
    }
    return ", ".join(f"{name} {value}".strip() for name, value in known.items() if value)


def record(run: Run, facts: ReportFacts, measured: Measured) -> None:
    """The metrics of both, their changes, and how many rows each won."""
    first, second = facts.sides
    won = examples.counts(examples.winners(facts), facts)
    run.log(0, {f"first/{name}": value for name, value in defined(measured.before).items()})
    run.log(0, {f"second/{name}": value for name, value in defined(measured.after).items()})
    run.log(0, change_metrics(measured.changes))
    run.log(0, {"won/first": won[first], "won/second": won[second], "won/ties": won["tie"]})
    run.tags({"verdict": facts.verdict})
    run.flush()


def report(facts: ReportFacts, place: str) -> str:
    """The last lines on screen."""
    first, second = facts.sides
    won = examples.counts(examples.winners(facts), facts)
    tables = [screen.metrics_table(facts.metrics, facts.sides, f"{facts.rows} rows")]
    if any("/" in line.name for line in facts.metrics):
        tables.append(screen.metrics_table(facts.metrics, facts.sides, "retention suites", of_suites=True))
    return "\n".join([
        "",
        *(f"Metrics   {table}" for table in tables),
        f"Rows      {second} won {won[second]:,}, {first} won {won[first]:,}, {won['tie']:,} ties (by {facts.order})",
        f"Verdict   {'; '.join([facts.verdict, *facts.reasons])}",
        f"Report    {place}",
    ])  # fmt: skip
