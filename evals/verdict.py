"""The verdict on a finished training run, from documented thresholds, with its reasons."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from evals.bootstrap import LEAST_ROWS

#: Worst first but for ``healthy``: the first of them that was found names the verdict.
VERDICTS = (
    "healthy", "diverged", "looping", "echoing", "memorising", "unfinished", "wrong_length", "unrelated", "garbled",
    "likelihood_collapse", "not_learned", "preference_not_learned", "length_gaming", "not_better", "side_effects",
    "not_shown",
)  # fmt: skip


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
    stop_rate: float = 0.90
    """unfinished: a smaller share of answers than this is ended by the model itself."""
    least_length: float = 0.5
    """wrong_length: all answers together have fewer words than this share of the references' ..."""
    most_length: float = 2.0
    """... or more than this many times as many ..."""
    misfit_rate: float = 0.25
    """... or more answers than this are shorter than a third or longer than three times their own reference."""
    least_gain: float = 0.10
    """not_learned: the held-out loss fell by a smaller share than this."""
    diverged_ratio: float = 1.5
    """diverged: the held-out loss ended at this many times its start."""


@dataclass(frozen=True)
class Verdict:
    """``name`` is one of ``VERDICTS``; ``reasons`` are sentences with the figures behind it."""

    name: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a model, or that could not be shown: the verdict that it leads to, and why."""

    verdict: str
    reason: str


def decide(
    base: Mapping[str, float],
    tuned: Mapping[str, float],
    past_best: float,
    compared: Iterable[Finding],
    limits: Thresholds = Thresholds(),
    rows: int = LEAST_ROWS,
) -> Verdict:
    """The verdict on a run, from the scores of its base and its tuned model on the same held-out rows.

    Both need ``loss``, ``train_loss`` (over training rows) and the rates of ``Thresholds``.
    ``past_best``: the validation loss of the restored weights over the lowest of the run, 1 where they are the best.
    ``compared``: what comparisons of the answers found (``evals.controls``), and whatever else is wrong with the
    model. The worst verdict that applies is taken; all that apply give reasons.
    ``rows``: how many there are; of fewer than ``LEAST_ROWS`` the only verdict is that training diverged.
    """
    found = [*_training(base, tuned, past_best, limits), *_answers(base, tuned, limits), *compared]
    if rows < LEAST_ROWS:
        found = [*(finding for finding in found if finding.verdict == "diverged"), _too_few(rows)]
    shown = f"held-out loss {base['loss']:.2f} -> {tuned['loss']:.2f}, no fault of the answers above its limit"
    return _worst(found, shown)


def decide_preferences(
    base: Mapping[str, float],
    tuned: Mapping[str, float],
    compared: Iterable[Finding],
    limits: Thresholds = Thresholds(),
    rows: int = LEAST_ROWS,
) -> Verdict:
    """The same for a model that was trained on preferences, of which the held-out loss of chosen answers says little.

    ``compared``: what held-out pairs show (``evals.preference_verdict``), and side effects.
    """
    shown = "no fault of the answers above its limit"
    if "reward_accuracy" in tuned:
        shown = f"reward accuracy {tuned['reward_accuracy']:.2f}, {shown}"
    found = [*_answers(base, tuned, limits), *compared] if rows >= LEAST_ROWS else [_too_few(rows)]
    return _worst(found, shown)


def _too_few(rows: int) -> Finding:
    return Finding(
        "not_shown", f"{rows} held-out rows are too few rows to judge: give {LEAST_ROWS} or more (test_dataset)"
    )


def _worst(found: list[Finding], healthy: str) -> Verdict:
    found.sort(key=lambda finding: VERDICTS.index(finding.verdict))
    if not found:
        return Verdict("healthy", (healthy,))
    return Verdict(found[0].verdict, tuple(finding.reason for finding in found))


def _training(
    base: Mapping[str, float], tuned: Mapping[str, float], past_best: float, limits: Thresholds
) -> Iterator[Finding]:
    """What the losses show."""
    loss, start = tuned["loss"], base["loss"]
    if not math.isfinite(loss) or loss > limits.diverged_ratio * start:
        yield Finding("diverged", f"held-out loss {start:.2f} -> {loss:.2f}: worse than untrained")
    gap = loss - tuned["train_loss"]
    if tuned["copy_rate"] <= limits.copy_rate and gap > limits.gap_nats and past_best > limits.overfit_ratio:
        yield Finding(
            "memorising",
            f"held-out loss {loss:.2f} but {tuned['train_loss']:.2f} on trained rows, and the validation loss is "
            f"{past_best:.1f} times its lowest",
        )
    if loss > (1 - limits.least_gain) * start:
        yield Finding(
            "not_learned", f"held-out loss {start:.2f} -> {loss:.2f}: it fell by less than {limits.least_gain:.0%}"
        )


def _answers(base: Mapping[str, float], tuned: Mapping[str, float], limits: Thresholds) -> Iterator[Finding]:
    """What shares of answers show."""
    if tuned["loop_rate"] > max(limits.loop_rate, base["loop_rate"] * 0.5):
        yield Finding("looping", f"{tuned['loop_rate']:.0%} of the answers repeat themselves")
    if tuned["echo_rate"] > limits.echo_rate:
        yield Finding("echoing", f"{tuned['echo_rate']:.0%} of the answers hold the prompt word for word")
    if tuned["copy_rate"] > limits.copy_rate:
        yield Finding("memorising", f"{tuned['copy_rate']:.0%} of the answers are another row's training response")
    if tuned["stop_rate"] < limits.stop_rate:
        yield Finding(
            "unfinished",
            f"{tuned['stop_rate']:.0%} of the answers end before max_new_tokens, {base['stop_rate']:.0%} did before "
            "training: training rows lost their ends at max_length, or max_new_tokens is too small for such answers",
        )
    if not limits.least_length <= tuned["length_ratio"] <= limits.most_length:
        yield Finding("wrong_length", f"the answers have {tuned['length_ratio']:.2f} times the references' words")
    if tuned["misfit_rate"] > limits.misfit_rate:
        yield Finding(
            "wrong_length",
            f"{tuned['misfit_rate']:.0%} of the answers are shorter than a third or longer than three times their "
            "reference",
        )
