"""The main job as a list of steps: rows, base, before, training, after, verdict, version."""

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

from data import pirate
from data.errors import UserError
from data.template import template_name, template_of
from registry import lineage, versions
from registry.card import CardFacts, write_card
from registry.runs import Run
from train import adapt, base, metrics, parallel, plots, reports
from train.config import TuneConfig
from train.encoding import Example, encode, prompt_ids
from train.evaluate import Decoding, Scores, answer, context_length, score
from train.fit import Diverged, Fitted, fit
from train.rows import Rows, load
from train.state import StateFolder
from train.verdict import Verdict, judge

PRIMARY = "chrf"
T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Job:
    """Everything decided before training starts."""

    config: TuneConfig
    rows: Rows
    base: base.Base
    model: Any
    tokenizer: Any
    examples: list[Example]
    max_length: int


def tune(config: TuneConfig, run: Run) -> Iterator[str]:
    """Do the job and yield the lines that its user reads.

    Raises:
        UserError: anything the user can mend, a diverged training included; nothing is registered then.
    """
    import torch

    torch.set_num_threads(config.threads or torch.get_num_threads())
    leads = parallel.rank() == 0
    job = prepare(config)
    if leads:
        if config.resume:
            require_same(job, run)
        record_start(job, run)
        yield describe(job)
        before, before_s = timed(evaluate, job, job.model)
    model = adapt.make_trainable(job.model, config)
    checks = encode(job.rows.validation, job.tokenizer, "response", job.max_length)
    try:
        fitted = fit(model, job.examples, checks, config, StateFolder(run.folder), run, config.peak_lr)
    except Diverged:
        if leads:
            run.tags({"verdict": "diverged"})
        raise
    if not leads:
        return
    after, after_s = timed(evaluate, job, model)
    run.log(fitted.restored_step, {"time/train_s": fitted.seconds, "time/evaluate_s": before_s + after_s})
    losses = dict(fitted.progress.history)
    verdict = judge(before.values, after.values, losses[fitted.restored_step] / min(losses.values()))
    run.require_server()
    record_results(job, run, fitted, before, after, verdict)
    version, promotion = publish(job, run, model, fitted, before, after, verdict)
    yield report(job, fitted, before, after, verdict, version, promotion)


def timed(work: Callable[..., T], *args: Any) -> tuple[T, float]:
    """What ``work`` returns, and the seconds that it took."""
    start = perf_counter()
    return work(*args), perf_counter() - start


def prepare(config: TuneConfig) -> Job:
    """Read the rows, load the base and encode: everything that can be wrong with the input shows here."""
    rows = load(config)
    found = base.resolve(config.base_model)
    model, tokenizer = base.load(found, base.pick_device())
    adapt.check_targets(model, config)
    max_length = min(config.max_length, context_length(model))
    examples = encode(rows.train, tokenizer, config.labels, max_length)
    return Job(config, rows, found, model, tokenizer, examples, max_length)


def require_same(job: Job, run: Run) -> None:
    """Refuse to go on with other rows or another base than the run began with.

    Raises:
        UserError: naming what has changed since.
    """
    known = run.known_tags()
    now = {**job.rows.digests(), "base_digest": job.base.digest}
    names = {"dataset_digest": "training rows", "validation_digest": "validation rows", "test_digest": "test rows"}
    changed = [names.get(key, "base model") for key, value in now.items() if known.get(key, value) != value]
    if changed:
        raise UserError(
            f"resume={run.run_id}: the {', '.join(changed)} changed since the run began, so it can't go on as if "
            "nothing had happened; put them back, or start a new run"
        )


def describe(job: Job) -> str:
    """What is about to happen, in three lines."""
    rows = job.rows
    masks = reports.mask_report(job.examples, job.tokenizer.eos_token_id)
    return (
        f"Base    {job.base.name} {job.base.digest} ({job.base.reason}; {template_name(job.tokenizer)} template)\n"
        f"Rows    {len(rows.train)} to train on, {len(rows.validation)} to choose the checkpoint, {len(rows.test)} to report "
        f"({rows.test_name})\n"
        f"Tokens  {masks['trained_tokens']:,} of {masks['tokens']:,} are trained (labels={job.config.labels}), "
        f"{masks['truncated_rows']} rows cut at {job.max_length} tokens"
    )


def evaluate(job: Job, model: Any) -> Scores:
    """Score ``model`` on the test rows; base and tuned model both come through here."""
    taught = sum(pirate.speaks_pirate(row.response) for row in job.rows.test) >= len(job.rows.test) / 2
    return score(
        model,
        job.tokenizer,
        job.rows.test,
        job.rows.train,
        Decoding(job.config.max_new_tokens),
        job.max_length,
        pirate.speaks_pirate if taught else None,
    )


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


def record_results(job: Job, run: Run, fitted: Fitted, before: Scores, after: Scores, verdict: Verdict) -> None:
    """Curves, metrics and the evaluation in every form."""
    step = fitted.restored_step
    copied = metrics.chrf([r.response for r in job.rows.test], [r.prompt for r in job.rows.test])
    run.log(step, {f"base/{k}": v for k, v in before.values.items()})
    run.log(step, {f"test/{k}": v for k, v in after.values.items()})
    run.log(step, {"prompt/chrf": copied, "eval/best_step": fitted.progress.best_step})
    run.flush()
    run.tags({"verdict": verdict.name, "verdict_reasons": "; ".join(verdict.reasons)})
    train_loss = run.history("train/loss")
    title = f"{job.config.register_as}: {Path(job.base.name).name}, {job.config.method}, {len(job.rows.train)} rows"
    plots.loss_curve(
        train_loss, fitted.progress.history, fitted.progress.best_step, title, run.folder / "loss_curve.png"
    )
    plots.loss_table(train_loss, fitted.progress.history, run.folder / "loss_curve.csv")
    run.file(run.folder / "loss_curve.png")
    run.file(run.folder / "loss_curve.csv")
    table = reports.examples_table(job.rows.test, before, after)
    results = {
        "verdict": verdict.name,
        "reasons": verdict.reasons,
        "base": before.values,
        "tuned": after.values,
        "prompt_chrf": copied,
    }
    run.text(json.dumps({**results, "rows": table}, indent=1), "eval_results.json")
    run.text(reports.results_markdown(before, after, table, verdict), "eval_results.md")
    run.table(table, "eval_table.json")


def publish(
    job: Job, run: Run, model: Any, fitted: Fitted, before: Scores, after: Scores, verdict: Verdict
) -> tuple[versions.Version, versions.Promotion]:
    """Log both kept checkpoints, prove the restored one by reloading, register it."""
    config, step = job.config, fitted.restored_step
    for name, other in (("best", fitted.progress.best_step), ("last", fitted.progress.step)):
        fitted.put(other)
        folder = run.folder / "checkpoints" / f"{name}-step-{other}"
        adapt.save(model, job.tokenizer, job.base.name if job.base.revision else str(job.base.folder), folder)
        run.folder_of_files(folder, f"checkpoints/{folder.name}")
        if other == step:
            chosen = folder
    fitted.put(step)
    settings = {
        "kind": config.method,
        "base_path": str(job.base.folder),
        "base_digest": job.base.digest,
        "chat_template": template_of(job.tokenizer),
        "max_new_tokens": config.max_new_tokens,
    }
    uri = versions.log_model(run, chosen, settings, lineage.pins(), job.rows.test[0].prompt)
    versions.verify(uri, make_probe(job, model))
    headline = {f"base/{k}": f"{v:.4f}" for k, v in before.values.items()}
    headline |= {f"test/{k}": f"{v:.4f}" for k, v in after.values.items()}
    tags = {
        "verdict": verdict.name,
        "kind": config.method,
        "base_model": job.base.name,
        "base_digest": job.base.digest,
        **job.rows.digests(),
        **lineage.code_state(),
        **headline,
    }
    card = write_card(card_facts(job, run, fitted, before, after, verdict))
    run.text(card, "model_card.md")
    version = versions.register(config.register_as, uri, run.run_id, tags, card)
    run.tags({"registered_version": f"{version.name}/{version.number}"})
    return version, versions.promote(version, PRIMARY, after.values[PRIMARY], tags["test_digest"])


def card_facts(job: Job, run: Run, fitted: Fitted, before: Scores, after: Scores, verdict: Verdict) -> CardFacts:
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
        base_scores=before.values,
        scores=after.values,
        verdict=verdict.name,
        reasons=verdict.reasons,
        examples=reports.examples_table(rows.test, before, after),
        run_id=run.run_id,
        step=fitted.restored_step,
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


def report(
    job: Job,
    fitted: Fitted,
    before: Scores,
    after: Scores,
    verdict: Verdict,
    version: versions.Version,
    promotion: versions.Promotion,
) -> str:
    """The last lines on screen."""
    config = job.config
    rate = fitted.trained_tokens / fitted.seconds
    table = reports.examples_table(job.rows.test, before, after)
    champion = (
        f"it is the champion now: {promotion.reason}"
        if promotion.moved
        else f"the champion did not move: {promotion.reason}"
    )
    return f"""
{job.base.name} + {config.method}, {len(job.rows.train)} rows, {fitted.progress.trained_tokens:,} trained tokens in {fitted.seconds:.0f} s ({rate:.0f}/s)

{reports.screen_table(table)}
Metrics   {reports.headline(before.values, after.values)}
Verdict   {verdict.name}: {"; ".join(verdict.reasons)}
Version   {version.name}/{version.number}, weights of step {fitted.restored_step} ({config.restore}); {champion}

Next      make ui     the run, its curves and tables in MLflow
          make demo   talk to both sides"""
