"""The model card: what a version is, where it comes from and how it did, written from the run alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data.markdown import properties, table


@dataclass(frozen=True)
class CardFacts:
    """What a card says. ``settings`` and ``lineage`` are shown as given; ``changes``: how much metrics changed,
    with their intervals, over ``counts`` rows or items of a suite. ``claims``: the lines of their table. ``primary``:
    the metric that compares it with others. ``side_effects``: what else changed, in one line. ``examples`` hold prompt,
    base, tuned; ``sides``: what these two are called.
    """

    title: str
    kind: str
    base: str
    base_digest: str
    base_source: str
    settings: Mapping[str, Any]
    lineage: Mapping[str, str]
    rows: Mapping[str, int]
    base_scores: Mapping[str, float]
    scores: Mapping[str, float]
    changes: Mapping[str, str]
    counts: Mapping[str, int]
    verdict: str
    reasons: Sequence[str]
    examples: Sequence[Mapping[str, str]]
    run_id: str
    step: int
    claims: Sequence[str] = ()
    primary: str = ""
    side_effects: str = "not measured"
    sides: tuple[str, str] = ("base", "tuned")


def write_card(facts: CardFacts) -> str:
    """The card as Markdown."""
    scores = [
        (key, facts.counts.get(key, ""), f"{facts.base_scores[key]:.3f}", f"{value:.3f}", facts.changes.get(key, ""))
        for key, value in facts.scores.items()
        if key in facts.base_scores
    ]
    metrics = table([f"metric, {facts.rows['test']} held-out rows", "n", *facts.sides, "change, 95 % interval"], scores)
    answers = [(each["prompt"], each["base"], each["tuned"]) for each in facts.examples[:5]]
    examples = table(["prompt", *facts.sides], answers, left=(0, 1, 2))
    claims = "\n".join(["", "## Claims, written before training", *facts.claims, ""]) if facts.claims else ""
    primary = f" Its primary metric is {facts.primary}." if facts.primary else ""
    rows = ", ".join(f"{count} {name}" for name, count in facts.rows.items())
    suites = dict.fromkeys(key.partition("/")[0] for key in facts.scores if "/" in key)
    beyond = f" and on the suites {', '.join(suites)}" if suites else ""
    return f"""# {facts.title}

{facts.kind} on {facts.base} (weights {facts.base_digest}; {facts.base_source}), the weights of step {facts.step}.

**Verdict: {facts.verdict}.** {"; ".join(facts.reasons)}.{primary}

**Side effects:** {facts.side_effects}.

{chr(10).join(metrics)}
{claims}
{chr(10).join(examples)}

## Where it comes from
Rows: {rows}.

{properties(facts.lineage)}
- run: {facts.run_id}; its artifact report.html shows the results row by row

## Settings
{properties(facts.settings)}

## Limits
It was fine-tuned on few rows for one small behaviour and evaluated on rows of the same kind{beyond}. Nothing is known
of how it does on anything else, and no safety tuning was done beyond what its base has.
"""
