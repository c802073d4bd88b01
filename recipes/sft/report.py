"""The reports of a run: the mask report, the evaluation as JSON and Markdown, and the last lines on screen."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

from data import markdown
from data.columns import shortened
from data.conversation import Row
from data.html import render
from evals import claims_report
from evals.generation import Scores
from evals.metrics import format_of
from recipes.html_report.facts import metric_lines
from recipes.html_report.screen import metrics_table as table_of
from recipes.sft.stop_on import PICTURE
from recipes.sft.types import Outcome
from train.encoding import IGNORE, Example

TEMPLATES = Path(__file__).with_name("templates")


def mask_report(examples: Sequence[Example], end: int) -> dict[str, Any]:
    """Which tokens are trained: counts over all rows, and the trained tokens of each row in order.

    Args:
        end: the token that ends a turn.
    """
    return {
        "rows": len(examples),
        "tokens": sum(len(e.input_ids) for e in examples),
        "trained_tokens": sum(e.trained for e in examples),
        "trained_tokens_per_row_mean": round(mean(e.trained for e in examples), 2),
        "truncated_rows": sum(e.truncated for e in examples),
        "dropped_rows": 0,  # a row without a trained token is an error, so none is ever dropped
        "rows_with_eos_trained": sum(bool((e.labels == end).any()) for e in examples),
        "trained_tokens_per_row": [e.trained for e in examples],
    }


def cut_warning(examples: Sequence[Example], max_length: int, positions: int) -> str:
    """A sentence that warns of training rows that lose their ends; empty where most keep them.

    Args:
        max_length: tokens that a row was cut to.
        positions: tokens that the base could take.
    """
    cut = sum(example.truncated for example in examples)
    if 2 * cut < len(examples):
        return ""
    longer = "raise max_length" if max_length < positions else "shorten the answers (the base has no more positions)"
    return (
        f"{cut} of {len(examples)} rows are longer than max_length={max_length} tokens and lose their ends, so "
        f"the model hardly learns to end an answer: {longer}"
    )


def mask_sample(examples: Sequence[Example], tokenizer: Any, shown: int = 12) -> str:
    """An HTML page that shows the first ``shown`` rows token by token, trained ones in colour."""
    rows = [shown_tokens(example, tokenizer) for example in examples[:shown]]
    return render(TEMPLATES / "mask_sample.html", rows=rows, total=len(examples))


def shown_tokens(example: Example, tokenizer: Any) -> list[tuple[str, bool]]:
    """(text, whether it is trained) of every token; a line break is shown as a sign."""
    return [
        (tokenizer.decode([token], clean_up_tokenization_spaces=False).replace("\n", "↵"), label != IGNORE)
        for token, label in zip(example.input_ids.tolist(), example.labels.tolist(), strict=True)
    ]


def metrics_table(outcome: Outcome, rows: int, primary: str = "", named: Collection[str] | None = None) -> str:
    """The primary and the headline metrics that both models have, a line each: values, change and its interval.

    ``named``: those that were chosen by name, which are shown too.
    """
    lines = metric_lines(outcome.before.values, outcome.after.values, outcome.changes, named)
    first = [replace(line, headline=True) for line in lines if line.name == primary]
    others = [line for line in lines if line.name != primary]
    return table_of([*first, *others], outcome.sides, f"{rows} held-out rows")


def side_effects_table(outcome: Outcome) -> list[str]:
    """What the retention suites show, and the side effects in one line; no lines where there was no suite."""
    if not outcome.side_effects.measured:
        return []
    lines = metric_lines(outcome.before.values, outcome.after.values, outcome.changes)
    shown = table_of(lines, outcome.sides, "retention suites", of_suites=True)
    return ["", f"Suites    {shown}", "", f"Effects   {side_effects_line(outcome)}"]


def by_step_lines(outcome: Outcome) -> list[str]:
    """What ``stop_on`` found over the checkpoints; no lines where it was not given."""
    if outcome.by_step is None:
        return []
    return ["", f"Stop on   {f'{chr(10)}          '.join(outcome.by_step.sentences)}", ""]


def side_effects_line(outcome: Outcome) -> str:
    """The side effects that were shown, in one line; what it means that there are none."""
    if not outcome.side_effects.measured:
        return "not measured"
    return "; ".join(outcome.side_effects.sentences) or "none was shown, which is not to say that there are none"


def claims_table(outcome: Outcome) -> str:
    """A line for each claim: what was claimed, what was found with its interval, the outcome."""
    return "\n          ".join(claims_report.screen(outcome.claims))


def examples_table(rows: Sequence[Row], base: Scores, tuned: Scores) -> list[dict[str, str]]:
    """One record a held-out row: prompt, reference, base, tuned."""
    return [
        {"prompt": row.prompt, "reference": row.response, "base": before.text, "tuned": after.text}
        for row, before, after in zip(rows, base.answers, tuned.answers, strict=True)
    ]


def results_markdown(outcome: Outcome, table: Sequence[Mapping[str, str]]) -> str:
    """The evaluation as a page: verdict, metrics of base and tuned model with their changes, every row."""
    base, tuned, verdict = outcome.before.values, outcome.after.values, outcome.verdict
    lines = [f"# Evaluation: {verdict.name}", "", *(f"- {reason}" for reason in verdict.reasons), ""]
    lines += [f"Side effects: {side_effects_line(outcome)}.", ""]
    if outcome.by_step:
        lines += [f"![Side effects by step]({PICTURE})", "", *(f"- {each}" for each in outcome.by_step.sentences), ""]
    lines += [
        f"Changes have 95 % intervals over the same {len(table)} held-out rows, in pairs (suites: over their items; "
        "train_loss: over training rows).",
        "",
    ]
    scores = [
        (key, each.n if (each := outcome.changes.get(key)) else "", f"{base[key]:.4g}", f"{tuned[key]:.4g}",
         change_text(outcome, key))
        for key in tuned
    ]  # fmt: skip
    lines += markdown.table(["metric", "n", *outcome.sides, "change"], scores)
    lines += ["", "## Claims", "", *claims_report.markdown(outcome.claims), ""] if outcome.claims else [""]
    rows = [[record[key] for key in ("prompt", "reference", "base", "tuned")] for record in table]
    lines += markdown.table(["prompt", "reference", *outcome.sides], rows, left=range(4))
    return "\n".join(lines) + "\n"


def change_text(outcome: Outcome, name: str) -> str:
    """The change of a metric with its interval; empty where it has none."""
    change = outcome.changes.get(name)
    return change.text(format_of(name)) if change else ""


def screen_table(table: Sequence[Mapping[str, str]], shown: int = 5, width: int = 100, before: str = "base") -> str:
    """A few rows for the terminal, evenly taken from the whole table; ``before``: what the base is called."""
    step = max(1, len(table) // shown)
    out = []
    for record in table[::step][:shown]:
        out.append(f"  prompt  {shortened(record['prompt'], width)}")
        out.append(f"  {before:7} {shortened(record['base'], width)}")
        out.append(f"  tuned   {shortened(record['tuned'], width)}")
        out.append("")
    return "\n".join(out)
