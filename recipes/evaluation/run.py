"""Evaluation of a registered version: load, measure base and tuned model, compare them item by item, record."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from data.errors import UserError
from evals import metrics
from inference.threads import set_threads
from recipes.evaluation import by_scale, inspect_tasks, judge_report, judged, lm_eval_tasks, models, own_suites, report
from recipes.evaluation.comparison import Comparison, Measured, compare, records
from recipes.evaluation.config import INSPECT, LM_EVAL, EvaluateConfig
from recipes.evaluation.models import Sides
from registry import lineage, versions
from registry.experiment import PARENT
from registry.runs import Run

#: A judge that chooses by place on this share of answers measures little.
MOST_BIAS = 0.5


def evaluate(config: EvaluateConfig, run: Run) -> Iterator[str]:
    """Run the evaluation and yield the lines that are printed.

    Raises:
        UserError: the version, the suite or something that it needs is not there.
    """
    set_threads(config.threads)
    run.folder.mkdir(parents=True, exist_ok=True)
    require_available(config)
    sides = models.find(config.version)
    record_start(config, run, sides)
    yield f"Version {sides.reference} beside its base, {sides.tuned.info.base_model or sides.base.info.reference}"
    if config.scales:
        curves = yield from by_scale.measure(config, sides, run.folder)
        by_scale.record(run, sides.reference, curves)
        yield "\n".join(["", by_scale.screen(curves)])
    elif config.suite:
        before, after = measure(config, sides, run)
        found = compare(before, after, config.seed)
        if not found.before:
            raise UserError(f"suite={config.suite} gave no metric")
        record_results(config, run, sides, found)
        run.table(records(before, after), "items.json")
        yield "\n".join(["", report.screen(found), *notes(found)])
    if config.judge:
        judged_ = judged.compare(config, sides, run)
        record_judged(config, run, judged_)
        yield "\n".join(["", *judge_report.lines(config.judge, judged_)])
    yield f"\nKept    in the run {run.run_id}"


def record_judged(config: EvaluateConfig, run: Run, found: judged.Judged) -> None:
    """What the judge found, as metrics of the run, as JSON, and as a table of all prompts."""
    run.log(0, judge_report.metrics_of(found))
    run.flush()
    run.text(json.dumps(judge_report.as_json(config.judge, found), indent=1), "judge.json")
    run.table(judge_report.records(found), "judge_items.json")


def require_available(config: EvaluateConfig) -> None:
    """Check what the suite needs, before anything is loaded.

    Raises:
        UserError: a package or a file is missing.
    """
    if config.suite.startswith(LM_EVAL):
        lm_eval_tasks.require_installed()
    elif config.suite.startswith(INSPECT):
        inspect_tasks.require_installed()
        inspect_tasks.require_file(config.suite.removeprefix(INSPECT))


def measure(config: EvaluateConfig, sides: Sides, run: Run) -> tuple[Measured, Measured]:
    """What the base and the version get on the suite.

    Raises:
        UserError: a task is not there, or fails.
    """
    if config.suite.startswith(INSPECT):
        before, after = inspect_tasks.measure(
            config.suite.removeprefix(INSPECT), (f"{sides.reference}:base", sides.reference), run.folder,
            run.client.tracking_uri, config.limit, config.seed, config.threads,
        )  # fmt: skip
        return before, after
    on_model = measurement(config, sides, run.folder)
    before, after = (on_model(model, tokenizer) for model, tokenizer in models.each_side(sides))
    return before, after


def measurement(config: EvaluateConfig, sides: Sides, folder: Path) -> Callable[[Any, Any], Measured]:
    """The function that measures a model with its tokenizer in this process.

    Raises:
        UserError: a task is not there.
    """
    if not config.suite.startswith(LM_EVAL):
        return partial(own_suites.measure, own_suites.choose(config.suite, sides, config.seed, folder))
    names = [each.strip() for each in config.suite.removeprefix(LM_EVAL).split(",") if each.strip()]
    return lm_eval_tasks.Tasks(names, config.limit, config.apply_chat_template, config.seed).measure


def record_start(config: EvaluateConfig, run: Run, sides: Sides) -> None:
    """Settings, and which version this is: the run becomes a child of the run that made it."""
    version = sides.version
    run.params(asdict(config))
    kept = {key: version.tags[key] for key in ("kind", "base_model", "base_digest") if key in version.tags}
    parent = {PARENT: version.run_id} if version.run_id else {}
    run.tags({**kept, **parent, **lineage.code_state(), "version": sides.reference, "version_run_id": version.run_id})


def record_results(config: EvaluateConfig, run: Run, sides: Sides, found: Comparison) -> None:
    """Metrics of the run, tags of the version, and the whole result as JSON and as a page."""
    before, after = ({key_of(name): value for name, value in side.items()} for side in (found.before, found.after))
    values = metrics.both_sides(before, after)
    changes = {key_of(name): change for name, change in found.changes.items()}
    run.log(0, {**values, **metrics.change_metrics(changes)})
    run.flush()
    versions.set_tags(sides.version, values)
    results = {
        "version": sides.reference,
        "suite": config.suite,
        "base": found.before,
        "tuned": found.after,
        "changes": {name: asdict(change) for name, change in found.changes.items()},
        "unpaired_items": found.unpaired,
    }
    run.text(json.dumps(results, indent=1), "evaluation.json")
    lines = [f"{config.suite}: base and tuned model on the same items, in pairs.", *notes(found)]
    run.text(report.markdown(f"Evaluation of {sides.reference}", lines, found), "evaluation.md")


def key_of(name: str) -> str:
    """A metric's name with what MLflow allows in one: letters, digits, ``_``, ``-``, ``.``, space and ``/``."""
    return re.sub(r"[^\w\-. /]", "_", name)


def notes(found: Comparison) -> list[str]:
    """What a reader of the numbers has to know: items that one model alone has, and a judge that chooses by place."""
    lines = [
        f"Note    {name}: {count} items have a result of one model only and are left out"
        for name, count in found.unpaired.items()
    ]
    for name in (each for each in found.before if each.endswith("/position_bias")):
        worst = max(abs(side.get(name, 0)) for side in (found.before, found.after))
        if worst >= MOST_BIAS:
            suite = name.removesuffix("/position_bias")
            lines.append(
                f"Note    {suite}/accuracy measures little: on {worst:.0%} of the answers its judge takes one option "
                "by its place"
            )
    return lines
