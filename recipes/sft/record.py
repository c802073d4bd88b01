"""What a fine-tuning experiment logs to its run, and the version that it registers."""

import dataclasses
import json
import math
from pathlib import Path

from data.chat_format import chat_format
from evals import claims_report, metrics, text_metrics
from evals.generation import probe
from recipes import claims
from recipes.html_report.commands import chat_command
from recipes.promotion import promote
from recipes.run_names import columns
from recipes.sft import report as reports
from recipes.sft import samples, stop_on
from recipes.sft.data import Rows
from recipes.sft.types import Job, Outcome
from registry import champion, evaluation_run, lineage, registration, row_statistics, versions
from registry.model_card import CardFacts, write_card
from registry.registration import LanguageModelFiles
from registry.runs import DataSet, Run
from train.finetune import Finetuned
from train.loss_curve import write_loss_curve

PROBED_ROWS = 3


def record_start(job: Job, run: Run) -> None:
    """Params, lineage and the mask report, before the first step."""
    config, rows, source = job.config, job.rows, job.base.source
    run.params({k: v for k, v in dataclasses.asdict(config).items() if k != "resume"})
    run.params({"learning_rate": config.lr, "num_train_epochs": config.epochs})  # MLflow has logged lr and epochs as 0
    digests = rows.digests()
    found = {**source.tags, "base_name": source.name, "base_revision": source.revision or "none"} | columns_of(job)
    run.tags({**digests, **found, **lineage.code_state(), "base_reason": source.reason, **job.lineage_tags})
    run.datasets(inputs_of(rows, config.dataset))
    report_ = reports.mask_report(job.examples, chat_format(job.base.tokenizer).end[-1])
    run.text(json.dumps(report_, indent=1), "mask_report.json")
    run.text(reports.mask_sample(job.examples, job.base.tokenizer), "mask_sample.html")
    run.text(json.dumps({**dataclasses.asdict(config), **lineage.environment()}, indent=1), "config.json")
    claims.record_start(job.claims, run)


def columns_of(job: Job) -> dict[str, str]:
    """The tags of run and version that are columns of a table."""
    return columns(job.base.source.name, job.config.dataset, getattr(job.config, "rate", 0.0))


def record_results(job: Job, run: Run, outcome: Outcome) -> None:
    """Curves and the evaluation in every form but its metrics, which are of the model that is logged later."""
    before, after, progress = outcome.before.values, outcome.after.values, outcome.tuned.fitted.progress
    step = outcome.tuned.fitted.restored_step
    run.log(step, {"best_step": progress.best_step})
    run.flush()
    run.tags({"verdict": outcome.verdict.name, "verdict_reasons": "; ".join(outcome.verdict.reasons)})
    run.tags({"side_effects": reports.side_effects_line(outcome)})
    base = job.start or Path(job.base.source.name).name
    title = f"{job.config.register_as}: {base}, {job.config.method}, {len(job.rows.train)} rows"
    points = run.history("train/loss")
    for path in write_loss_curve(points, progress, title, run.folder, unit=job.loss_unit):
        run.file(path)
    table = reports.examples_table(job.rows.test, outcome.before, outcome.after)
    scores = {"base": before, "tuned": after, "prompt_chrf": copied_chrf(job)}
    verdict = {"verdict": outcome.verdict.name, "reasons": outcome.verdict.reasons}
    changes = {name: dataclasses.asdict(change) for name, change in outcome.changes.items()}
    claims.record_results(outcome.claims, title, run)
    stop_on.record(outcome.by_step, title, run)
    samples.record(run)
    effects = outcome.side_effects.sentences if outcome.side_effects.measured else None
    beside = {"claims": claims_report.records(outcome.claims), "side_effects": effects}
    results = {**verdict, **scores, "changes": changes, **beside, "rows": table}
    run.text(json.dumps(results, indent=1), "eval_results.json")
    run.text(reports.results_markdown(outcome, table), "eval_results.md")
    run.table(table, "eval_table.json")
    row_statistics.save(run, outcome.after.statistics)
    row_statistics.save(run, outcome.before.statistics, row_statistics.BASE)


def copied_chrf(job: Job) -> float:
    """chrF of the test rows' prompts, copied as they are."""
    return text_metrics.chrf([row.response for row in job.rows.test], [row.prompt for row in job.rows.test])


def record_scores(job: Job, run: Run, outcome: Outcome, version: versions.Version) -> None:
    """The metrics of base and tuned model, and their changes, with the model that was registered."""
    fitted = outcome.tuned.fitted
    scores = {
        **metrics.both_sides(outcome.before.values, outcome.after.values),
        **metrics.change_metrics(outcome.changes),
        "prompt/chrf": copied_chrf(job),
        "time/train_s": fitted.seconds,
        "time/evaluate_s": outcome.evaluate_s,
    }
    test = inputs_of(job.rows, job.config.dataset)[-1]
    evaluation_run.record(run, {fitted.restored_step: scores}, version.source, test)


def inputs_of(rows: Rows, dataset: str) -> list[DataSet]:
    """The training, validation and test rows as inputs of a run; ``dataset``: where the training rows are from."""
    digests = rows.digests()
    return [
        (f"{dataset} train"[:250], digests["dataset_digest"], dataset, len(rows.train), "training"),
        ("validation", digests["validation_digest"], rows.test_name, len(rows.validation), "validation"),
        ("test", digests["test_digest"], rows.test_name, len(rows.test), "testing"),
    ]


def register(job: Job, run: Run, outcome: Outcome, parent_id: str = "") -> tuple[versions.Version, champion.Promotion]:
    """Keep the checkpoints, register the restored one, and make it champion where it is better.

    ``parent_id``: the run of all seeds, of which this is one; then they are compared with the champion together, later.
    """
    tuned = outcome.tuned
    folders = keep_checkpoints(tuned, run)
    probed = probe(tuned.model, job.base.tokenizer, job.rows.test[:PROBED_ROWS], job.config.max_new_tokens)
    files = LanguageModelFiles(folders[tuned.fitted.restored_step], tuned.model_config, probed)
    tags = {
        "verdict": outcome.verdict.name,
        "side_effects": reports.side_effects_line(outcome),
        **job.lineage_tags,
        "primary": job.primary,
        **job.base.source.tags,
        **columns_of(job),
        "step": tuned.fitted.restored_step,
        **job.rows.digests(),
        **metrics.both_sides(outcome.before.values, outcome.after.values),
        **({"parent_run_id": parent_id} if parent_id else {}),
    }
    version = registration.register(run, files, job.config.register_as, tags, write_card(card_facts(job, run, outcome)))
    run.tags({"registered_version": version.reference})
    if parent_id:
        return version, champion.Promotion(False, "all seeds are compared with it together")
    value, broken = outcome.after.values.get(job.primary, math.nan), claims.broken(outcome.claims)
    return version, promote(version, job.primary, value, outcome.after.statistics, job.config.least_gain, broken)


def keep_checkpoints(tuned: Finetuned, run: Run) -> dict[int, Path]:
    """Save the kept weights as artifacts ``checkpoints/step-N`` of the run; returns their local folders by step."""
    folder = run.folder / "checkpoints"
    folders = tuned.save_checkpoints(folder)
    run.folder_of_files(folder, "checkpoints")
    ends = {"best": tuned.fitted.progress.best_step, "last": tuned.fitted.progress.step}
    run.tags({f"{name}_checkpoint": f"checkpoints/step-{step}" for name, step in ends.items()})
    return folders


def card_facts(job: Job, run: Run, outcome: Outcome) -> CardFacts:
    """What the version's card says."""
    config, rows = job.config, job.rows
    settings = {k: v for k, v in dataclasses.asdict(config).items() if k != "resume"}
    return CardFacts(
        title=f"{config.register_as}: {job.start or job.base.source.name} fine-tuned on {config.dataset}",
        kind="LoRA adapter" if config.method == "lora" else "Full fine-tuning",
        base=job.base.source.name,
        base_digest=job.base.source.digest,
        base_source=job.base.source.source,
        settings=settings,
        lineage={**rows.digests(), **lineage.code_state(), **lineage.environment()},
        rows={"trained": len(rows.train), "validation": len(rows.validation), "test": len(rows.test)},
        base_scores=outcome.before.values,
        scores=outcome.after.values,
        primary=job.primary,
        verdict=outcome.verdict.name,
        reasons=outcome.verdict.reasons,
        changes={name: reports.change_text(outcome, name) for name in outcome.changes},
        counts={name: change.n for name, change in outcome.changes.items()},
        claims=claims_report.markdown(outcome.claims),
        side_effects=reports.side_effects_line(outcome),
        examples=reports.examples_table(rows.test, outcome.before, outcome.after),
        sides=outcome.sides,
        run_id=run.run_id,
        step=outcome.tuned.fitted.restored_step,
    )


def report(job: Job, outcome: Outcome, version: versions.Version, promotion: champion.Promotion, page: str) -> str:
    """The last lines on screen; ``page``: where the report page is."""
    fitted, verdict, before = outcome.tuned.fitted, outcome.verdict, job.start or job.base.source.name
    table = reports.examples_table(job.rows.test, outcome.before, outcome.after)
    tokens, rate = fitted.progress.trained_tokens, fitted.trained_tokens / fitted.seconds
    weights = f"weights of step {fitted.restored_step} ({job.config.restore})"
    return "\n".join([
        "",
        f"Trained   {before} + {job.config.method} on {len(job.rows.train)} rows, {tokens:,} trained tokens "
        f"in {fitted.seconds:.0f} s ({rate:.0f}/s)",
        "",
        reports.screen_table(table, before=outcome.sides[0]),
        f"Metrics   {reports.metrics_table(outcome, len(job.rows.test), job.primary, job.metrics)}",
        f"Claims    {reports.claims_table(outcome)}",
        *reports.side_effects_table(outcome),
        *reports.by_step_lines(outcome),
        f"Verdict   {verdict.name}: {'; '.join(verdict.reasons)}",
        f"Version   {version.reference}, {weights}; {promotion.sentence}",
        f"Report    {page}",
        "",
        "Next      make ui     the run, its curves and tables in MLflow",
        f"          {chat_command(version.name)}   chat with base and tuned model side by side",
    ])  # fmt: skip
