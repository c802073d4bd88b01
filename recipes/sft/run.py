"""Supervised fine-tuning: load, tokenize, evaluate the base, train, evaluate the tuned model, record, register."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from data.chat_format import chat_format, fix_date, template_name
from data.chat_template import with_thoughts_apart
from data.conversation import Row
from data.timing import timed
from evals import chosen_metrics, metrics, side_effects, verdict
from evals.controls import controls, findings
from evals.generation import Decoding, Scores, score, score_both
from evals.metrics import METRICS
from evals.paired import Difference
from evals.primary import choose
from evals.suites import table as suites
from evals.suites.language_model import LanguageModel
from evals.suites.suite import HeldOut
from evals.verdict import Finding, Verdict
from inference.threads import set_threads
from recipes import claims
from recipes.judges import make as make_judge
from recipes.resume import require_same
from recipes.sft import claims as own_claims
from recipes.sft import page, record, report, samples, stop_on
from recipes.sft.config import TuneConfig
from recipes.sft.data import Rows, has_style, load
from recipes.sft.types import Job, Outcome
from registry import lineage
from registry.runs import Run
from train import defaults, distributed
from train.base_model import context_length
from train.encoding import encode
from train.finetune import Finetuned, finetune, load_base
from train.resume import StateFolder

J = TypeVar("J", bound=Job)
#: By metric, how much the model after training differs from that before.
Changes = Mapping[str, Difference]


@dataclass(frozen=True)
class Recipe(Generic[J]):
    """What distinguishes one fine-tuning experiment from another; ``tune`` is the same for all.

    ``prepare``: from settings, the date in prompts and the run's folder to a job. ``decide``: from the job, the trained
    model, the scores before and after, their changes and the side effects to the verdict. ``add_metrics``: the scores
    with metrics beside those of answers. ``record_more``: what it records beside what all do, before its version is
    registered.
    """

    prepare: Callable[[Any, date | None, Path | None], J]
    decide: Callable[[J, Finetuned, Scores, Scores, Changes, Sequence[Finding]], Verdict]
    add_metrics: Callable[[J, Finetuned, Scores, Scores], tuple[Scores, Scores]] = lambda job, tuned, *scores: scores
    record_more: Callable[[J, Run, Outcome], None] = lambda job, run, outcome: None


def tune(config: TuneConfig, run: Run, parent_id: str = "", recipe: Recipe[Any] | None = None) -> Iterator[str]:
    """Run the experiment and yield the lines that are printed. Beside rank 0, only train.

    Args:
        parent_id: the run of all seeds, where this is one of them.
        recipe: None for supervised fine-tuning.

    Raises:
        UserError: wrong input, or a diverged training; nothing is registered then.
    """
    set_threads(config.threads)
    leads = distributed.rank() == 0
    recipe = recipe or SFT
    job = recipe.prepare(config, distributed.share(lineage.start_day(run)), run.folder)
    if not leads:
        train(job, run)
        return
    if config.resume:
        require_same(run, job.digests())
    run.rename(config.run_name, job.config.run_name)
    record.record_start(job, run)
    yield describe(job)
    outcome = chosen_metrics.select_outcome(train_and_evaluate(job, run, recipe), job.metrics)
    run.require_server()
    record.record_results(job, run, outcome)
    recipe.record_more(job, run, outcome)
    version, promotion = record.register(job, run, outcome, parent_id)
    record.record_scores(job, run, outcome, version)
    place = page.record_page(job, run, outcome, version)
    yield record.report(job, outcome, version, promotion, place)


def prepare(config: TuneConfig, day: date | None = None, folder: Path | None = None) -> Job:
    """Load the rows and the base, and tokenize: whatever is wrong with the input shows here.

    Args:
        day: the date that stands in prompts where the base's chat template holds one; None for today.
        folder: that of the run, which keeps a judge's replies; without it no suite can have a judge.

    Raises:
        UserError: a row or the base can't be used.
    """
    distributed.uses_fsdp(config.distributed, config.method)  # a wrong setting shows before the base is loaded
    rows = load(config)
    without = () if has_style(rows.test) else ("lexicon_rate",)
    primary = choose(config.primary, "answers", without=without).name
    shown = chosen_metrics.choose(config.metrics, ("answers",), primary, without)
    base = load_base(config, thoughts=any(row.has_thoughts for row in rows.all))
    train, validation, test = (with_thoughts_apart(base.tokenizer, r) for r in (rows.train, rows.validation, rows.test))
    rows = replace(rows, train=train, validation=validation, test=test)
    day = day or datetime.now().date()
    written = day.isoformat() if fix_date(base.tokenizer, day) else ""
    chosen = suites.choose(held_out(rows, config, folder), config.suites, base.parameters)
    claimed = own_claims.read(config, rows, chosen)
    examples = encode(rows.train, base.tokenizer, config.labels, base.max_length)
    checks = encode(rows.validation, base.tokenizer, "response", base.max_length)
    encode(rows.test, base.tokenizer, "response", base.max_length)  # a fault in them shows before training
    complete = defaults.complete(config, base.parameters)
    tested = stop_on.keeps(config, claimed)
    return Job(complete, rows, base, examples, checks, primary, shown, chosen, written, claimed, tested)


def train(job: Job, run: Run) -> Finetuned:
    """Fine-tune, or go on where an interrupted run stopped.

    Raises:
        Diverged: the loss stopped being a number.
    """
    state = StateFolder(run.folder, keep_all=job.config.keeps_all)
    accept = samples.at_evaluations(job, run)
    return finetune(job.trained_rows, job.validation_rows, job.base, job.config, run, state, job.loss, accept)


def train_and_evaluate(job: J, run: Run, recipe: Recipe[J]) -> Outcome:
    """Train, evaluate the model before and after on the same rows, and reach a verdict.

    Raises:
        Diverged: the loss stopped being a number.
    """
    tuned, before, after, evaluate_s = _train_and_score(job, run)
    before, after = recipe.add_metrics(job, tuned, before, after)
    seed = job.config.seed
    changes = metrics.changes(before.of_all_rows, after.of_all_rows, seed)
    effects = side_effects.find(changes, before.statistics, after.statistics)
    decided = recipe.decide(job, tuned, before, after, changes, effects.findings)
    found = claims.decide(job.claims, before.statistics, after.statistics, seed)
    by_step = stop_on.load(job, run, tuned.fitted)
    quoted = claims.quoted(decided, found)
    return Outcome(tuned, before, after, quoted, changes, found, effects, by_step, job.sides, evaluate_s)


def _train_and_score(job: Job, run: Run) -> tuple[Finetuned, Scores, Scores, float]:
    """The trained model, the scores before and after, and the seconds that both evaluations took.

    A new adapter can be switched off, so both are evaluated in one batch after training; otherwise training changes
    the weights that it starts from, so these are evaluated before it.
    """
    if job.config.method == "lora" and not job.start:
        tuned = train(job, run)
        (before, after), evaluate_s = timed(evaluate_both, job, tuned.model)
        return tuned, before, after, evaluate_s
    before, before_s = timed(evaluate, job, job.base.model, job.sides[0])
    tuned = train(job, run)
    after, after_s = timed(evaluate, job, tuned.model, job.sides[1])
    return tuned, before, after, before_s + after_s


def decide(
    job: Job, tuned: Finetuned, before: Scores, after: Scores, changes: Changes, of_suites: Sequence[Finding]
) -> Verdict:
    """The verdict on supervised fine-tuning; ``of_suites``: the side effects."""
    losses = dict(tuned.fitted.progress.eligible)
    past_best = losses[tuned.fitted.restored_step] / min(losses.values())
    assert after.data is not None
    compared = controls(changes.get(job.primary), after.data, METRICS[job.primary], job.config.seed)
    faults = [*findings(compared), *of_suites]
    return verdict.decide(before.values, after.values, past_best, faults, rows=len(job.rows.test))


SFT: Recipe[Job] = Recipe(prepare, decide)
"""Supervised fine-tuning."""


def describe(job: Job) -> str:
    """Base, rows, trained tokens and claims in lines, and one for each thing that the rows did not say themselves."""
    rows, base, tokenizer = job.rows, job.base.source, job.base.tokenizer
    masks = report.mask_report(job.examples, chat_format(tokenizer).end[-1])
    warning = report.cut_warning(job.examples, job.base.max_length, context_length(job.base.model))
    lines = [
        f"Base    {base.name} {base.digest} ({base.reason}; {base.source}; {template_name(tokenizer)} template)",
        f"Rows    {len(rows.train)} to train on, {len(rows.validation)} to choose the checkpoint, "
        f"{len(rows.test)} to report ({rows.test_name})",
        f"Tokens  {masks['trained_tokens']:,} of {masks['tokens']:,} are trained (labels={job.config.labels}), "
        f"{masks['truncated_rows']} rows cut at {job.base.max_length} tokens",
        *claims.describe(job.claims, job.config.claims),
        *(f"Note    {note}" for note in (*rows.notes, *template_notes(job))),
    ]
    return "\n".join([*lines, f"Warning {warning}"] if warning else lines)


def template_notes(job: Job) -> Iterator[str]:
    """What the base's chat template does to the rows, one sentence each."""
    rows = job.rows.train
    if job.is_split:
        yield (
            f"the chat template writes earlier turns differently once others follow, so {len(rows)} rows make "
            f"{len(job.examples)} examples, one an answer"
        )
    if any(row.system for row in rows) and not chat_format(job.base.tokenizer).takes_system:
        yield "the chat template takes no system message: its text stands before the first prompt"
    if job.date:
        yield f"the chat template holds the date: every prompt of this run and its version has {job.date}"


def evaluate(job: Job, model: Any, whose: str = "") -> Scores:
    """Metrics of ``model`` on the test rows, and on every chosen evaluation suite as ``SUITE/METRIC``."""
    scores = score(model, *_evaluated(job), whose=whose)
    return with_suites(scores, suites.evaluate(_adapted(job, model), job.suites))


def evaluate_both(job: Job, model: Any) -> tuple[Scores, Scores]:
    """The same of the base of a LoRA model, and of the model itself."""
    before, after = score_both(model, *_evaluated(job))
    found = suites.evaluate_both(_adapted(job, model), job.suites)
    return with_suites(before, found[0]), with_suites(after, found[1])


def _evaluated(job: Job) -> tuple[Any, list[Row], list[Row], Decoding, int, Callable[[str], bool] | None]:
    """What ``score`` takes after the model."""
    rows, base, decoding = job.rows, job.base, Decoding(job.config.max_new_tokens)
    return base.tokenizer, rows.test, rows.train, decoding, base.max_length, has_style(rows.test)


def held_out(rows: Rows, config: TuneConfig, folder: Path | None = None) -> HeldOut:
    """What suites take of the rows of a run, and of its ``folder``."""
    return HeldOut(
        rows.test,
        seed=config.seed,
        has_style=has_style(rows.test),
        training_responses=[row.response for row in rows.train],
        judge=partial(make_judge, folder=folder, seed=config.seed) if folder else None,
    )


def _adapted(job: Job, model: Any) -> LanguageModel:
    return LanguageModel(model, job.base.tokenizer, Decoding(job.config.max_new_tokens))


def with_suites(scores: Scores, found: suites.Results) -> Scores:
    """``scores`` with the metrics and statistics of suites beside them."""
    return replace(
        scores,
        values={**scores.values, **suites.metrics(found)},
        statistics={**scores.statistics, **suites.statistics(found)},
    )
