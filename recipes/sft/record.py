"""What is kept of a tuning job: params and curves, the evaluation in every form, and a proven, registered version."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from data.chat_template import prompt_ids, template_of
from evals import text_metrics
from evals.generation import Decoding, answer
from recipes.sft import report as reports
from recipes.sft.types import Job, Outcome
from registry import lineage, versions
from registry.model_card import CardFacts, write_card
from registry.runs import Run
from train import plots, trainable

PRIMARY = "chrf"


def record_start(job: Job, run: Run) -> None:
    """Params, lineage and the mask report, before the first step."""
    config, rows = job.config, job.rows
    run.params({k: v for k, v in dataclasses.asdict(config).items() if k != "resume"})
    digests = rows.digests()
    found = {"base_name": job.base.name, "base_digest": job.base.digest, "base_revision": job.base.revision or "none"}
    run.tags({**digests, **found, **lineage.code_state(), "base_reason": job.base.reason, "kind": config.method})
    run.datasets([
        (f"{config.dataset} train"[:250], digests["dataset_digest"], config.dataset, len(rows.train), "training"),
        ("validation", digests["validation_digest"], rows.test_name, len(rows.validation), "validation"),
        ("test", digests["test_digest"], rows.test_name, len(rows.test), "testing"),
    ])  # fmt: skip
    report_ = reports.mask_report(job.examples, job.tokenizer.eos_token_id)
    run.text(json.dumps(report_, indent=1), "mask_report.json")
    run.text(reports.mask_sample(job.examples, job.tokenizer), "mask_sample.html")
    run.text(json.dumps({**dataclasses.asdict(config), **lineage.environment()}, indent=1), "config.json")


def record_results(job: Job, run: Run, outcome: Outcome) -> None:
    """Curves, metrics and the evaluation in every form."""
    before, after, progress = outcome.before.values, outcome.after.values, outcome.fitted.progress
    step = outcome.fitted.restored_step
    copied = text_metrics.chrf([r.response for r in job.rows.test], [r.prompt for r in job.rows.test])
    run.log(step, {f"base/{k}": v for k, v in before.items()})
    run.log(step, {f"test/{k}": v for k, v in after.items()})
    run.log(step, {"prompt/chrf": copied, "eval/best_step": progress.best_step})
    run.flush()
    run.tags({"verdict": outcome.verdict.name, "verdict_reasons": "; ".join(outcome.verdict.reasons)})
    train_loss = run.history("train/loss")
    title = f"{job.config.register_as}: {Path(job.base.name).name}, {job.config.method}, {len(job.rows.train)} rows"
    picture, numbers = run.folder / "loss_curve.png", run.folder / "loss_curve.csv"
    plots.loss_curve(train_loss, progress.history, progress.best_step, title, picture)
    plots.loss_table(train_loss, progress.history, numbers)
    run.file(picture)
    run.file(numbers)
    table = reports.examples_table(job.rows.test, outcome.before, outcome.after)
    scores = {"base": before, "tuned": after, "prompt_chrf": copied}
    verdict = {"verdict": outcome.verdict.name, "reasons": outcome.verdict.reasons}
    results = {**verdict, **scores, "rows": table}
    run.text(json.dumps(results, indent=1), "eval_results.json")
    run.text(reports.results_markdown(outcome.before, outcome.after, table, outcome.verdict), "eval_results.md")
    run.table(table, "eval_table.json")


def register(job: Job, run: Run, outcome: Outcome) -> tuple[versions.Version, versions.Promotion]:
    """Log the kept checkpoints, prove the restored one by reloading, register it."""
    checkpoint = keep_checkpoints(job, run, outcome)
    settings = {
        "kind": job.config.method,
        "base_path": str(job.base.folder),
        "base_digest": job.base.digest,
        "chat_template": template_of(job.tokenizer),
        "max_new_tokens": job.config.max_new_tokens,
    }
    uri = versions.log_model(run, checkpoint, settings, lineage.pins(), job.rows.test[0].prompt)
    versions.verify(uri, make_probe(job, outcome.model))
    headline = {f"base/{k}": f"{v:.4f}" for k, v in outcome.before.values.items()}
    headline |= {f"test/{k}": f"{v:.4f}" for k, v in outcome.after.values.items()}
    tags = {
        "verdict": outcome.verdict.name,
        "kind": job.config.method,
        "base_model": job.base.name,
        "base_digest": job.base.digest,
        "step": outcome.fitted.restored_step,
        **job.rows.digests(),
        **lineage.code_state(),
        **headline,
    }
    card = write_card(card_facts(job, run, outcome))
    run.text(card, "model_card.md")
    version = versions.register(job.config.register_as, uri, run.run_id, tags, card)
    run.tags({"registered_version": f"{version.name}/{version.number}"})
    return version, versions.promote(version, PRIMARY, outcome.after.values[PRIMARY], tags["test_digest"])


def keep_checkpoints(job: Job, run: Run, outcome: Outcome) -> Path:
    """Save and log all kept weights; returns the folder of those restored, which the model has after."""
    fitted = outcome.fitted
    base_name = job.base.name if job.base.revision else str(job.base.folder)
    folders = {step: run.folder / "checkpoints" / f"step-{step}" for step in fitted.kept_steps}
    for step, folder in folders.items():
        fitted.put(step)
        trainable.save(outcome.model, job.tokenizer, base_name, folder)
    fitted.put(fitted.restored_step)
    run.folder_of_files(run.folder / "checkpoints", "checkpoints")
    ends = {"best": fitted.progress.best_step, "last": fitted.progress.step}
    run.tags({f"{name}_checkpoint": f"checkpoints/step-{step}" for name, step in ends.items()})
    return folders[fitted.restored_step]


def card_facts(job: Job, run: Run, outcome: Outcome) -> CardFacts:
    """What the version's card says."""
    config, rows = job.config, job.rows
    settings = {k: v for k, v in dataclasses.asdict(config).items() if k != "resume"}
    return CardFacts(
        title=f"{config.register_as}: {job.base.name} taught with {config.dataset}",
        kind="LoRA adapter" if config.method == "lora" else "Full fine-tuning",
        base=job.base.name,
        base_digest=job.base.digest,
        settings={**settings, "lr": config.peak_lr},
        lineage={**rows.digests(), **lineage.code_state(), **lineage.environment()},
        rows={"trained": len(rows.train), "validation": len(rows.validation), "test": len(rows.test)},
        base_scores=outcome.before.values,
        scores=outcome.after.values,
        verdict=outcome.verdict.name,
        reasons=outcome.verdict.reasons,
        examples=reports.examples_table(rows.test, outcome.before, outcome.after),
        run_id=run.run_id,
        step=outcome.fitted.restored_step,
    )


def make_probe(job: Job, model: Any) -> versions.Probe:
    """What the trained model says in memory, for the reloaded one to be held against."""
    import torch

    rows = job.rows.test[:3]
    first = rows[0]
    ids = prompt_ids(job.tokenizer, (), first.prompt)
    alone = [dataclasses.replace(row, turns=row.turns[-1:], system="") for row in rows]
    texts = [a.text for a in answer(model, job.tokenizer, alone, Decoding(job.config.max_new_tokens))]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids], device=next(model.parameters()).device)).logits[0].float().cpu()
    return versions.Probe([row.prompt for row in rows], texts, ids, logits)


def report(job: Job, outcome: Outcome, version: versions.Version, promotion: versions.Promotion) -> str:
    """The last lines on screen."""
    fitted, verdict, base = outcome.fitted, outcome.verdict, job.base.name
    tokens, rate = fitted.progress.trained_tokens, fitted.trained_tokens / fitted.seconds
    weights = f"weights of step {fitted.restored_step} ({job.config.restore})"
    moved = "it is the champion now" if promotion.moved else "the champion did not move"
    return "\n".join([
        "",
        f"Trained   {base} + {job.config.method} on {len(job.rows.train)} rows, {tokens:,} trained tokens "
        f"in {fitted.seconds:.0f} s ({rate:.0f}/s)",
        "",
        reports.screen_table(reports.examples_table(job.rows.test, outcome.before, outcome.after)),
        f"Metrics   {reports.headline(outcome.before.values, outcome.after.values)}",
        f"Verdict   {verdict.name}: {'; '.join(verdict.reasons)}",
        f"Version   {version.name}/{version.number}, {weights}; {moved}: {promotion.reason}",
        "",
        "Next      make ui     the run, its curves and tables in MLflow",
        "          make demo   talk to both sides",
    ])  # fmt: skip
