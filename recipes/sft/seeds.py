"""Several trainings that differ in nothing but their seed, as runs under one parent, and what they show together."""

import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median_low
from typing import Any

import numpy as np

from data.columns import aligned
from data.errors import UserError
from data.markdown import table
from evals import chosen_metrics, claims_report, metrics, seeds
from evals import claims as evaluated
from evals.claims import Result
from evals.paired import Difference
from recipes import claims
from recipes.promotion import promote
from recipes.resume import require_same
from recipes.sft import record, seeds_page
from recipes.sft.config import TuneConfig
from recipes.sft.run import SFT, Recipe, describe, tune
from recipes.sft.seeds_page import Line
from recipes.sft.types import Job
from registry import lineage, row_statistics, runs, study_runs, versions
from registry.champion import Promotion
from registry.runs import Run
from train import distributed

#: Name of the artifacts that say what the seeds show together.
RESULTS, PAGE = "seeds.json", "seeds.md"


@dataclass(frozen=True)
class Trained:
    """The runs of all seeds: their versions, and the statistics of the test rows of base and tuned model of each."""

    versions: Sequence[versions.Version]
    before: Sequence[Mapping[str, np.ndarray]]
    after: Sequence[Mapping[str, np.ndarray]]


def tune_seeds(config: TuneConfig, run: Run, recipe: Recipe[Any] = SFT) -> Iterator[str]:
    """Train each of ``config.seeds`` as a run under ``run`` and report on all; yields the lines that are printed.

    Raises:
        UserError: wrong input, or a training failed; the seeds that ended are not trained again by ``resume``.
    """
    if distributed.world_size() > 1:
        raise UserError("seeds trains in one process; start it without torchrun or accelerate launch, or give one seed")
    job = yield from _start(config, run, recipe)
    for seed in config.all_seeds():
        yield from _tune_seed(config, seed, run, recipe)
    trained = _trained(config, run)
    measured = seeds.MeasuredSeeds(trained.before, trained.after, config.seed)
    found = evaluated.decide(job.claims, measured.estimate, measured.n, len(trained.after))
    lines = _lines(trained, config.seed, job.metrics)
    run.require_server()
    _record(config, run, lines, found, job.sides)
    promotion = _promote(config, job.primary, trained, found)
    place = seeds_page.record_page(job, run, lines, found, trained.versions, promotion)
    yield _report(job, lines, found, trained, promotion, place)


def _start(config: TuneConfig, run: Run, recipe: Recipe[Any]) -> Generator[str, None, Job]:
    """Check the input and record it with the parent; returns the job of all seeds."""
    job = recipe.prepare(config, lineage.start_day(run), run.folder)
    if config.resume:
        require_same(run, job.digests())
    run.rename(config.run_name, job.config.run_name)
    record.record_start(job, run)
    yield f"{describe(job)}\nSeeds   {config.seeds}: a run for each under this one"
    return job


def _tune_seed(config: TuneConfig, seed: int, parent: Run, recipe: Recipe[Any]) -> Iterator[str]:
    """Train one seed in a run of its own, or go on with it; nothing where it has ended."""
    cell = f"seed-{seed}"
    if cell in study_runs.ended(parent.run_id):
        yield f"\nSeed {seed} was trained before"
        return
    known = [each for each in study_runs.children(parent.run_id, cell) if each.status != "FINISHED"]
    left = next((each.run_id for each in known[::-1] if (parent.folder.parent / each.run_id).is_dir()), "")
    outputs = parent.folder.parent
    child = runs.reopen(left, outputs) if left else study_runs.start(parent.run_id, cell, cell, {"seed": seed}, outputs)
    yield f"\nSeed {seed}: run {child.run_id}" + (" is resumed" if left else "")
    try:
        yield from tune(replace(config, seeds="", seed=seed, resume=left), child, parent.run_id, recipe)
        child.require_server()
        study_runs.claim(parent.run_id, cell, child.run_id)
    except Exception as error:
        child.fail(error)
        raise
    except BaseException:
        child.finish("KILLED")
        raise
    child.finish()
    child.discard()


def _trained(config: TuneConfig, run: Run) -> Trained:
    ended = study_runs.ended(run.run_id)
    ids = [ended[f"seed-{seed}"] for seed in config.all_seeds()]
    children = {each.run_id: each for each in study_runs.children(run.run_id)}
    found = [versions.resolve(children[run_id].tags["registered_version"]) for run_id in ids]
    before = [row_statistics.load(run_id, row_statistics.BASE) for run_id in ids]
    return Trained(found, before, [row_statistics.load(run_id) for run_id in ids])


def _lines(trained: Trained, seed: int, named: frozenset[str] | None) -> list[Line]:
    """Every metric that all seeds have, or those that were chosen by name."""
    found = []
    for name in chosen_metrics.select(trained.after[0], named):
        known, all_sides = metrics.entry(name), (*trained.before, *trained.after)
        if known is None or any(name not in each for each in all_sides):
            continue
        before, after = [each[name] for each in trained.before], [each[name] for each in trained.after]
        change = seeds.difference(before, after, known.of_sums, seed)
        if change:
            change = known.within_range(change)
            pooled = seeds.pool(before, after, known.of_sums, "change", seed)
            found.append(Line(name, change, pooled.over_seeds, pooled.over_items))
    return found


def _promote(config: TuneConfig, primary: str, trained: Trained, found: Sequence[Result]) -> Promotion:
    """Make the version of the middle seed champion where all seeds together are better than the champion.

    Not that of the best seed: its metric would be too high by what chance added to it.
    """
    healthy = sum(each.tags["verdict"] == "healthy" for each in trained.versions)
    if healthy < len(trained.versions):
        return Promotion(False, f"{healthy} of {len(trained.versions)} seeds are healthy")
    values = [float(each.tags[f"test/{primary}"]) for each in trained.versions]
    middle = values.index(median_low(values))
    afters = [each[primary] for each in trained.after]
    known = metrics.METRICS[primary]

    def compare(theirs: np.ndarray) -> Difference | None:
        return seeds.difference([theirs] * len(afters), afters, known.of_sums, config.seed)

    return promote(
        trained.versions[middle],
        primary,
        values[middle],
        trained.after[middle],
        config.least_gain,
        claims.broken(found),
        compare,
        len(afters),
    )


def _record(
    config: TuneConfig, run: Run, lines: Sequence[Line], found: Sequence[Result], sides: tuple[str, str]
) -> None:
    values: dict[str, float] = {}
    for line in lines:
        values |= {f"base/{line.metric}": line.change.before, f"test/{line.metric}": line.change.after}
        values |= {f"sd_over_seeds/{line.metric}": line.over_seeds, f"se_over_items/{line.metric}": line.over_items}
    run.log(0, {**values, **metrics.change_metrics({line.metric: line.change for line in lines})})
    run.flush()
    claims.record_results(found, f"{config.register_as}: seeds {config.seeds} together", run)
    results = {"metrics": [asdict(line) for line in lines], "claims": claims_report.records(found)}
    run.text(json.dumps(results, indent=1), RESULTS)
    page = [f"# Seeds {config.seeds}", "", *table(_header(sides), _cells(lines)), "", *claims_report.markdown(found)]
    run.text("\n".join(page) + "\n", PAGE)
    run.describe("\n".join(page), PAGE)


TWO_SEEDS = (
    "Note      two seeds say little of how much seeds differ: where they do, intervals are about three times as wide "
    "as those of three seeds"
)


def _header(sides: tuple[str, str]) -> tuple[str, ...]:
    return ("metric", "n", *sides, "change (95 % interval)", "sd over seeds", "se over rows")


def _cells(lines: Sequence[Line]) -> list[tuple[str, ...]]:
    found = []
    for line in lines:
        known = metrics.entry(line.metric)
        if known is None:
            continue
        form, change = known.format, line.change
        values = (f"{change.before:{form}}", f"{change.after:{form}}", change.text(form))
        found.append(
            (known.shown_as, f"{change.n:,}", *values, f"{line.over_seeds:{form}}", f"{line.over_items:{form}}")
        )
    return found


def _report(
    job: Job, lines: Sequence[Line], found: Sequence[Result], trained: Trained, promotion: Promotion, place: str
) -> str:
    """The last lines on screen; ``place``: where the report page is."""
    rows = aligned(
        [_header(job.sides), *_cells([line for line in lines if chosen_metrics.is_shown(line.metric, job.metrics)])],
        right=(1, 2, 3),
    )
    names = ", ".join(each.reference for each in trained.versions)
    under = "\n          "
    return "\n".join([
        "",
        f"Seeds     {job.config.seeds} together",
        f"Metrics   {under.join(rows)}",
        *([TWO_SEEDS] if len(trained.versions) == 2 else []),
        f"Claims    {under.join(claims_report.screen(found))}",
        f"Versions  {names}; {promotion.sentence}",
        f"Report    {place}",
    ])  # fmt: skip
