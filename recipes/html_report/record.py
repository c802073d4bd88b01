"""The report page as an artifact of its run, and the lines on its origin that every page has."""

from collections.abc import Sequence
from dataclasses import replace

from evals.claims import Result
from recipes.claims import PICTURE
from recipes.html_report import page
from recipes.html_report.facts import ReportFacts
from registry import lineage, report_files
from registry.runs import Run


def record_page(run: Run, facts: ReportFacts, claims: Sequence[Result] = ()) -> str:
    """Keep the page, with the outcomes of ``claims``, and its facts; returns where it is, for the screen."""
    shown = replace(
        facts,
        claims=page.claim_lines(claims),
        claims_figures=page.figure("Claims", "The claims with their intervals.", run.folder / PICTURE),
    )
    return report_files.save(run, page.html(shown), shown.record())


def origin_lines(run_id: str) -> tuple[tuple[str, str], ...]:
    """Run, code and environment as the last lines of ``ReportFacts.lineage``."""
    code = lineage.code_state()
    changed = ", with changes that were not committed" if code["git_dirty"] == "true" else ""
    return (
        ("run", run_id),
        ("code", code["git_commit"] + changed),
        ("environment", ", ".join(f"{name} {version}" for name, version in lineage.environment().items())),
    )
