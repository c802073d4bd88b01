"""What a judge found: the lines on screen, the metrics of the run, one record a prompt."""

from dataclasses import asdict
from typing import Any

from evals import metrics
from recipes.evaluation.judged import Judged


def lines(judge: str, found: Judged) -> list[str]:
    """Win rate, position bias and agreement, each with its n and interval."""
    compared = found.comparison
    value, low, high = compared.win_rate
    bias = compared.position_bias
    first, second = round(bias.after * compared.n), round(bias.before * compared.n)
    invalid = f"; {compared.invalid} left out, without a reply that can be read" if compared.invalid else ""
    return [
        f"Judge     {judge} on {compared.n} held-out prompts, each in both orders{invalid}",
        f"Win rate  {value:.2f} ({low:.2f} to {high:.2f}) of the version: {compared.won} won, {compared.lost} lost, "
        f"{compared.tied} tied",
        f"Position  bias {bias.text('.2f')}: on {first} prompts the first answer was preferred whichever it was, on "
        f"{second} the second; {compared.changed} outcomes changed with the order",
        f"Votes     {agreement_text(found)}",
        f"Together  {together_text(found)}",
    ]


def agreement_text(found: Judged) -> str:
    """How far the judge agrees with people."""
    if found.agreement is None:
        return "no blind votes on this model to compare the judge with: make demo collects them"
    return f"{found.agreement.text()} with {found.votes} blind votes, the same choice on {found.agreement.share:.0%}"


def together_text(found: Judged) -> str:
    """The win rate by judge and votes."""
    if found.with_votes is None:
        return f"{found.own_votes} blind votes on this version against its base are too few to correct the judge by"
    both, (low, high) = found.with_votes, found.with_votes.interval
    rate = f"win rate {both.value:.2f} ({low:.2f} to {high:.2f})"
    return f"{rate}, prediction-powered: {found.own_votes} votes, the judge with weight {both.weight:.2f}"


def metrics_of(found: Judged) -> dict[str, float]:
    """The metrics of the run, by name; those that are undefined are left out."""
    value, low, high = found.comparison.win_rate
    bias = found.comparison.position_bias
    named: dict[str, float | None] = {
        "judge/win_rate": value, "judge/win_rate_low": low, "judge/win_rate_high": high,
        "judge/position_bias": bias.change, "judge/position_bias_low": bias.low, "judge/position_bias_high": bias.high,
        "judge/prompts": found.comparison.n, "judge/invalid": found.comparison.invalid, "judge/votes": found.votes,
    }  # fmt: skip
    if found.agreement:
        named |= {f"judge/{name}": getattr(found.agreement, key) for name, key in
                  (("kappa", "kappa"), ("kappa_low", "low"), ("kappa_high", "high"))}  # fmt: skip
    if found.with_votes:
        named |= {"judge/with_votes": found.with_votes.value, "judge/with_votes_low": found.with_votes.interval[0]}
        named |= {"judge/with_votes_high": found.with_votes.interval[1]}
    return metrics.defined(named)


def records(found: Judged) -> list[dict[str, str]]:
    """One record a prompt: both answers, the judge's replies in both orders, and the outcome."""
    return [
        {
            "prompt": pair.prompt, "base": pair.first, "tuned": pair.second,
            "base_first": each.straight or "-", "tuned_first": each.reversed or "-",
            "outcome": {0.0: "base", 1.0: "tuned"}.get(each.value, "tie") if each.is_valid else "-",
        }
        for pair, each in zip(found.pairs, found.judgements, strict=True)
    ]  # fmt: skip


def as_json(judge: str, found: Judged) -> dict[str, Any]:
    """Everything but the answers."""
    kept = {name: getattr(found, name) for name in ("comparison", "agreement", "with_votes")}
    counts = {"judge": judge, "votes": found.votes, "own_votes": found.own_votes}
    return {**counts, **{name: asdict(each) if each else None for name, each in kept.items()}}
