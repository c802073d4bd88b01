"""Texts about a noisy-labels run: screen output, Markdown page, JSON results and the version's card."""

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from data.markdown import bullets, properties, table
from evals import power
from evals.claims_report import markdown, records, screen
from evals.metric import format_value
from evals.metrics import in_order
from evals.significance import Comparison, format_p
from recipes.html_report.commands import chat_command
from recipes.noisy_labels.learners.base import Learner
from recipes.noisy_labels.types import CurvePoint, Evaluation, NoisyJob, NoisyOutcome, TrainingEvaluation
from registry import lineage


def title(job: NoisyJob) -> str:
    """The run in one line: data, learner and noise."""
    noise = job.config.noise()
    learner = job.config.remote_model or job.config.learner
    return f"{job.config.dataset}, {learner}, {noise.kind} noise at {noise.rate:g}"


def _base(learner: Learner) -> str:
    name = " ".join(filter(None, (learner.base, learner.base_digest)))
    return f"{name} ({learner.base_source})" if learner.base_source else name


def describe(job: NoisyJob, learner: Learner) -> str:
    """Base, rows and corrupted labels of the run to come, as printed and stored."""
    rows, done = job.data, job.data.corrupted.summary()
    aside = f", {len(rows.validation):,} of the same kind choose the checkpoint" if rows.validation else ""
    word = f" ({done['word']!r})" if done["word"] else ""
    return (
        f"Base    {_base(learner)}\n"
        f"Rows    {len(rows.train.rows):,} to train on{aside}, {len(rows.test):,} to test on ({rows.dataset.name})\n"
        f"Labels  {done['flipped']:,} of {done['rows']:,} made wrong ({done['kind']}{word}, rate {done['rate']:g}, "
        f"seed {done['noise_seed']}): {done['flipped_0']:,} were {rows.labels[0]}, "
        f"{done['flipped_1']:,} {rows.labels[1]}"
    )


def dry_run(job: NoisyJob, learner: Learner, lines: Sequence[str]) -> str:
    """The Markdown page of a dry run."""
    preflight = "\n".join(bullets(job.preflight.lines()))
    plan = "\n".join([describe(job, learner), *lines])
    return f"""# Dry run: {title(job)}

Nothing was trained or sent. The rows that would be trained on are in `data/`.

## Preflight
{preflight}

## What would be done
```
{plan}
```

## Settings
{properties({k: v for k, v in dataclasses.asdict(job.config).items() if k != "resume"})}
"""


def summary(outcome: NoisyOutcome, version: str, champion: str, page: str) -> str:
    """The result as printed at the end; ``page``: where the report page is."""
    memorization = outcome.training.memorization
    lines = ["", f"Trained   {outcome.summary} in {outcome.seconds['train']:.0f} s", "", *_metric_lines(outcome), ""]
    lines += [f"Warning   {side}: {warning}" for side, warning in _warnings(outcome)]
    true, given, flipped = map(
        format_value, (memorization.accuracy_true, memorization.accuracy_given, memorization.memorised_share)
    )
    lines.append(
        f"Training  {true} right by the true labels, {given} by the given ones; {flipped} of the flipped rows memorised"
    )
    lines += [f"Detection {line}" for line in _detection(outcome)]
    lines += [f"Step      {step}: {_point(evaluation)}" for step, (evaluation, _, _) in outcome.checkpoints.items()]
    lines += [f"{start:10}{line}" for start, line in zip_longest(["Claims"], screen(outcome.claims), fillvalue="")]
    lines.append(f"Verdict   {outcome.verdict.name}: {'; '.join(outcome.verdict.reasons)}")
    lines += [
        f"Version   {version}; {champion}",
        f"Report    {page}",
        "",
        "Next      make ui     the run, its tables and pictures in MLflow",
        f"          {chat_command(version.partition('/')[0])}   base and tuned model side by side",
    ]
    return "\n".join(lines)


def _point(evaluation: Evaluation) -> str:
    """The primary metric of a checkpoint that becomes a version."""
    name, value = evaluation.primary
    return f"{name} {value:.3f}, a version of its own"


def _metric_lines(outcome: NoisyOutcome) -> list[str]:
    before, after = outcome.before.metrics(), outcome.after.metrics()
    shown = [(name, key) for name, key in _headlines(after) if key in before or key in after]
    width = max(len("Metrics"), *(2 + len(name) for name, _ in shown)) if shown else len("Metrics")
    lines = [f"{'Metrics':{width}}{'n':>7}{'base':>25}{'tuned':>25}   change (95 % interval)"]
    for name, key in shown:
        n = f"{change.n:,}" if (change := outcome.changes.get(key)) else ""
        values = f"{_with_interval(before, key):>25}{_with_interval(after, key):>25}"
        lines.append(f"{'  ' + name:{width}}{n:>7}{values}   {_change(outcome, key)}".rstrip())
    return [*lines, *(f"  McNemar {text}" for text in comparisons(outcome))]


def comparisons(outcome: NoisyOutcome) -> list[str]:
    """McNemar's tests in words, a line each: by answers, and by the likelier label where that differs."""
    compared = outcome.comparison
    by_likelihood = [("by likelihood", compared.likelihoods)] if compared.likelihoods != compared.answers else []
    return [
        f"{name}: {each.only_after:,} rows won, {each.only_before:,} lost, {format_p(each.p_value)}; {_power(each)}"
        for name, each in [("by answers", compared.answers), *by_likelihood]
        if each.p_value is not None
    ]


def _power(compared: Comparison) -> str:
    """What so many rows could show, given how often the two models differ in being right on them."""
    differing = (compared.only_before + compared.only_after) / compared.n
    least = power.paired_difference(compared.n, differing) if differing else None
    if least is None:
        return f"with so few differences {compared.n:,} rows show no change of accuracy"
    return f"{compared.n:,} such rows show a change of accuracy of {least:.3f} in 8 of 10 cases"


def _headlines(found: Mapping[str, float]) -> list[tuple[str, str]]:
    """(label, name) of the headline metrics of labels and of choices, and of all that further suites found."""
    shown = [(metric.shown_as, metric.name) for metric in in_order("labels", "choices") if metric.headline]
    return [*shown, *((key, key) for key in found if "/" in key)]


def _with_interval(found: Mapping[str, float], key: str) -> str:
    low, high = found.get(f"{key}_low"), found.get(f"{key}_high")
    ends = f" ({low:.3f} to {high:.3f})" if low is not None and high is not None else ""
    return format_value(found.get(key)) + ends


def _change(outcome: NoisyOutcome, key: str) -> str:
    found = outcome.changes.get(key)
    return found.text() if found else ""


def _warnings(outcome: NoisyOutcome) -> list[tuple[str, str]]:
    sides = (("base", outcome.before), ("tuned", outcome.after))
    return [(side, warning) for side, evaluation in sides for warning in evaluation.warnings]


def _detection(outcome: NoisyOutcome) -> list[str]:
    found = outcome.training
    if not found.n_scored:
        return ["no training row was scored (n_memory=0)"]
    if found.in_sample.flipped_share is None:
        return ["no probability of a training row is known, so wrong labels can't be detected"]
    if not found.in_sample.flipped_share:
        return ["no label was made wrong, so there is none to detect", *_pruning(found)]
    parts = [f"flipped rows have the higher loss with AUROC {format_value(found.in_sample.auroc)} in sample"]
    if found.n_scored < len(found.losses):
        scored = f"{found.n_scored:,} of {len(found.losses):,} training rows"
        parts.append(f"by {scored}; out of fold would cost five more jobs")
    elif found.out_of_fold:
        parts.append(f"{format_value(found.out_of_fold.auroc)} out of fold")
    else:
        parts.append("not computed out of fold (folds=5 does it, with five more trainings)")
    return [", ".join(parts), *_pruning(found)]


def _pruning(found: TrainingEvaluation) -> list[str]:
    """How many wrong labels are estimated, and what leaving out as many gains, and as many as there are."""
    lines = []
    if found.estimated_flips is not None and found.out_of_fold:
        flips = round((found.out_of_fold.flipped_share or 0.0) * len(found.losses))
        lines.append(f"{found.estimated_flips:,} labels are estimated to be wrong (cleanlab's count), {flips:,} are")
    for number, p in (("are estimated to be", found.pruning_by_estimate), ("were", found.pruning)):
        if p:
            lines.append(
                f"without the {p.dropped:,} most suspect rows (as many as {number} flipped; "
                f"{format_value(p.precision)} of them were): accuracy {p.accuracy_before:.3f} -> {p.accuracy_after:.3f}"
            )
    return lines


def results(job: NoisyJob, outcome: NoisyOutcome) -> dict[str, Any]:
    """Everything measured, as JSON; what is undefined is null."""
    sides = {"base": outcome.before, "tuned": outcome.after}
    return {
        "verdict": outcome.verdict.name,
        "reasons": outcome.verdict.reasons,
        "corruption": job.data.corrupted.summary(),
        **{name: side.report.record() if side.report else side.metrics() for name, side in sides.items()},
        "alarms": {name: side.warnings for name, side in sides.items()},
        "claims": records(outcome.claims),
        "changes": {name: dataclasses.asdict(change) for name, change in outcome.changes.items()},
        "mcnemar": dataclasses.asdict(outcome.comparison.answers),
        "mcnemar_likelihood": dataclasses.asdict(outcome.comparison.likelihoods),
        "training_rows": outcome.training.metrics(),
        "curve": [{"step": p.step, **dataclasses.asdict(p.memorization)} for p in outcome.training.curve],
    }


def results_markdown(job: NoisyJob, learner: Learner, outcome: NoisyOutcome) -> str:
    """The evaluation as a Markdown page."""
    before, after = outcome.before.metrics(), outcome.after.metrics()
    lines = [f"# {title(job)}: {outcome.verdict.name}", "", *bullets(outcome.verdict.reasons), ""]
    lines += ["```", describe(job, learner), "```", ""]
    lines += bullets(f"warning, {side}: {warning}" for side, warning in _warnings(outcome))
    rows = [
        (key, format_value(before.get(key)), format_value(after.get(key)), _change(outcome, key))
        for key in {**before, **after}
    ]
    lines += ["", *table(["metric", "base", "tuned", "change, 95 % interval"], rows)]
    lines += ["", *bullets(f"McNemar {text}" for text in comparisons(outcome))]
    lines += ["", "## Claims", "", *markdown(outcome.claims)] if outcome.claims else []
    lines += ["", "## The training rows", "", *bullets(_detection(outcome))]
    header = ["step", "right by true labels", "by given labels", "flipped rows memorised"]
    curve = [(point.step, *map(format_value, _shares(point))) for point in outcome.training.curve]
    return "\n".join([*lines, "", *table(header, curve, left=())]) + "\n"


def _shares(point: CurvePoint) -> tuple[float | None, ...]:
    return point.memorization.accuracy_true, point.memorization.accuracy_given, point.memorization.memorised_share


def card(job: NoisyJob, learner: Learner, run_id: str, outcome: NoisyOutcome) -> str:
    """The version's card as Markdown."""
    config, rows = job.config, job.data
    before, after = outcome.before.metrics(), outcome.after.metrics()
    header = [f"{len(rows.test):,} held-out rows, true labels", "base", "tuned", "change, 95 % interval"]
    cells = [
        (name, _with_interval(before, key), _with_interval(after, key), _change(outcome, key))
        for name, key in _headlines(after)
        if key in after
    ]
    scores = "\n".join(table(header, cells))
    claimed = "\n".join(["", "## Claims, written before training", *markdown(outcome.claims), ""])
    settings = {k: v for k, v in dataclasses.asdict(config).items() if k != "resume"}
    origin = {**rows.digests(), **rows.corrupted.summary(), **lineage.code_state(), **lineage.environment()}
    return f"""# {config.register_as}: {title(job)}

{FORMS[learner.kind]} Base: {_base(learner)}. Weights of step {learner.step}.

**{rows.corrupted.summary()["flipped"]:,} of its {len(rows.corrupted.rows):,} training labels were made wrong on \
purpose.** It is an object of study, not for use.

**Verdict: {outcome.verdict.name}.** {"; ".join(outcome.verdict.reasons)}.

{scores}
{claimed}
## Where it comes from
{properties(origin)}
- run: {run_id}; its artifact report.html shows the results row by row

## Settings
{properties(settings)}
"""


FORMS = {
    "lora": "LoRA adapter, in PEFT's layout.",
    "full": "Full fine-tuning, in Hugging Face's layout.",
    "openai": "A model behind an OpenAI-compatible API, kept by its name and address; its weights are not here.",
    "tfidf": (
        "TF-IDF and logistic regression, kept as words (JSON) and numbers (safetensors), read by a file of its own "
        "that needs numpy alone: nothing is pickled. `predict(texts)` gives labels, with `params={\"probability\": "
        "True}` the probability of the second label."
    ),
}  # fmt: skip
