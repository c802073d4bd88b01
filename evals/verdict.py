"""The verdict on a finished training run, from documented thresholds, with its reasons."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

VERDICTS = ("healthy", "not_learned", "unfinished", "echoing", "memorising", "looping", "diverged")


@dataclass(frozen=True)
class Thresholds:
    """Where a verdict begins. Rates are shares of held-out answers, losses nats per trained token."""

    loop_rate: float = 0.15
    """looping: more answers than this repeat themselves, and more than half as many as the base's."""
    echo_rate: float = 0.25
    """echoing: more answers than this hold the prompt word for word where the reference does not."""
    copy_rate: float = 0.10
    """memorising: more answers than this are some other row's training response."""
    gap_nats: float = 1.5
    """memorising: held-out loss this far above the training rows' loss ..."""
    overfit_ratio: float = 1.25
    """... while the held-out loss is this many times its own best: training went on past it."""
    stop_loss: float = 0.50
    """unfinished: the share of answers that the model ends itself fell by more than this."""
    least_gain: float = 0.10
    """not_learned: the held-out loss fell by a smaller share than this."""
    diverged_ratio: float = 1.5
    """diverged: the held-out loss ended at this many times its start."""


@dataclass(frozen=True)
class Verdict:
    """``name`` is one of ``VERDICTS``; ``reasons`` are sentences with the figures behind it."""

    name: str
    reasons: tuple[str, ...]


def decide(
    base: Mapping[str, float], tuned: Mapping[str, float], past_best: float, limits: Thresholds = Thresholds()
) -> Verdict:
    """The verdict on a run, from the scores of its base and its tuned model on the same held-out rows.

    Both need ``loss``, ``train_loss`` (over training rows), ``loop_rate``, ``echo_rate``, ``copy_rate`` and
    ``stop_rate``.
    ``past_best``: the validation loss of the restored weights over the lowest of the run, 1 where they are the best.
    The first verdict that applies is taken, worst first.
    """
    found: list[tuple[str, str]] = []
    loss, start = tuned["loss"], base["loss"]
    if not math.isfinite(loss) or loss > limits.diverged_ratio * start:
        found.append(("diverged", f"held-out loss {start:.2f} -> {loss:.2f}: worse than untrained"))
    if tuned["loop_rate"] > max(limits.loop_rate, base["loop_rate"] * 0.5):
        found.append(("looping", f"{tuned['loop_rate']:.0%} of the answers repeat themselves"))
    if tuned["echo_rate"] > limits.echo_rate:
        found.append(("echoing", f"{tuned['echo_rate']:.0%} of the answers hold the prompt word for word"))
    gap = loss - tuned["train_loss"]
    if tuned["copy_rate"] > limits.copy_rate:
        found.append(("memorising", f"{tuned['copy_rate']:.0%} of the answers are another row's training response"))
    elif gap > limits.gap_nats and past_best > limits.overfit_ratio:
        found.append((
            "memorising",
            f"held-out loss {loss:.2f} but {tuned['train_loss']:.2f} on trained rows, and the validation loss is "
            f"{past_best:.1f} times its lowest",
        ))  # fmt: skip
    if tuned["stop_rate"] < base["stop_rate"] - limits.stop_loss:
        found.append((
            "unfinished",
            f"{tuned['stop_rate']:.0%} of the answers end before max_new_tokens, {base['stop_rate']:.0%} of the base's "
            "did: training rows lost their ends at max_length, or max_new_tokens is too small for such answers",
        ))  # fmt: skip
    if loss > (1 - limits.least_gain) * start:
        found.append(
            ("not_learned", f"held-out loss {start:.2f} -> {loss:.2f}: it fell by less than {limits.least_gain:.0%}")
        )
    if not found:
        return Verdict(
            "healthy", (f"held-out loss {start:.2f} -> {loss:.2f}, no echo, loop or copying above its limit",)
        )
    return Verdict(found[0][0], tuple(reason for _, reason in found))
