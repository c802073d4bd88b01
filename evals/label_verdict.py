"""The verdict on a finished classifier, from documented thresholds, with its reasons."""

from dataclasses import dataclass

from evals.classification import ClassificationReport
from evals.label_errors import Memorization
from evals.sanity_checks import CONSTANT_SHARE
from evals.significance import Comparison
from evals.verdict import Verdict

LABEL_VERDICTS = ("healthy", "silent", "constant", "memorising_noise", "not_better")


@dataclass(frozen=True)
class LabelThresholds:
    """Where a verdict begins. Shares are of test rows, but for those of memory."""

    unanswered_share: float = 0.5
    """silent: more rows than this get an invalid answer or none."""
    constant_share: float = CONSTANT_SHARE
    """constant: one label is the answer to at least this share of the answered rows."""
    excess: float = 0.25
    """memorising_noise: flipped training rows are answered with their wrong label this much more often than test rows
    of the same true label are answered wrongly, so it knows these rows by heart ..."""
    least_flipped: int = 10
    """... and there are at least so many flipped rows."""
    p_value: float = 0.05
    """not_better: McNemar's test against the base is not below this, or the gain is none."""


def decide_labels(
    tuned: ClassificationReport, comparison: Comparison, memory: Memorization, flipped: tuple[int, int],
    limits: LabelThresholds = LabelThresholds(),
) -> Verdict:  # fmt: skip
    """The verdict on a classifier, from its test report, McNemar against its base, and its training rows.

    ``flipped`` counts flipped training rows by their true label. The first verdict that applies is taken, worst first;
    all that apply give reasons.
    """
    found = [*_answers(tuned, limits), *_memory(tuned, memory, flipped, limits), *_gain(tuned, comparison, limits)]
    if not found:
        return Verdict("healthy", (f"accuracy {tuned.accuracy:.3f}, {_format_gain(comparison)}",))
    return Verdict(found[0][0], tuple(reason for _, reason in found))


def decide_questions(before: float | None, after: float | None, comparison: Comparison) -> Verdict:
    """The verdict by MC1: ``not_better`` unless it rose by more than chance explains."""
    figures = f"MC1 {before or 0:.3f} -> {after or 0:.3f}, {_format_gain(comparison)}"
    better = _is_better(comparison, LabelThresholds.p_value)
    return Verdict("healthy" if better else "not_better", (figures,))


def _answers(tuned: ClassificationReport, limits: LabelThresholds) -> list[tuple[str, str]]:
    unanswered = (tuned.rates["invalid"] or 0) + (tuned.rates["error"] or 0)
    found = []
    if unanswered > limits.unanswered_share:
        found.append(("silent", f"{unanswered:.0%} of the test rows got no valid answer"))
    counts = [sum(row[label] for row in tuned.confusion) for label in (0, 1)]
    if sum(counts) and max(counts) / sum(counts) >= limits.constant_share:
        label = counts.index(max(counts))
        found.append(("constant", f"{max(counts) / sum(counts):.0%} of its answers are {tuned.labels[label]}"))
    return found


def _memory(
    tuned: ClassificationReport, memory: Memorization, flipped: tuple[int, int], limits: LabelThresholds
) -> list[tuple[str, str]]:  # fmt: skip
    if memory.memorised_share is None or sum(flipped) < limits.least_flipped:
        return []
    shares = [_error_share(tuned, label) for label in (0, 1)]
    expected = sum(n * share for n, share in zip(flipped, shares, strict=True)) / sum(flipped)
    if memory.memorised_share - expected <= limits.excess:
        return []
    return [(
        "memorising_noise",
        f"{memory.memorised_share:.0%} of the flipped training rows are answered with their wrong label, but only "
        f"{expected:.0%} of such test rows are answered wrongly",
    )]  # fmt: skip


def _error_share(tuned: ClassificationReport, label: int) -> float:
    """Of the test rows with this label that got an answer, the share with the other one; a half where none did."""
    answered = sum(tuned.confusion[label][:2])
    return tuned.confusion[label][1 - label] / answered if answered else 0.5


def _gain(tuned: ClassificationReport, comparison: Comparison, limits: LabelThresholds) -> list[tuple[str, str]]:
    found = []
    if not _is_better(comparison, limits.p_value):
        found.append(("not_better", f"it is not better than its base: {_format_gain(comparison)}"))
    totals = [sum(row) for row in tuned.confusion]
    chance = max(totals) / sum(totals) if sum(totals) else 0.5
    if tuned.accuracy_interval and tuned.accuracy_interval[0] <= chance:
        low, high = tuned.accuracy_interval
        found.append(("not_better", f"its accuracy, {tuned.accuracy:.3f} ({low:.3f} to {high:.3f}), is not above the "
                      f"{chance:.3f} of always saying one label"))  # fmt: skip
    return found


def _is_better(comparison: Comparison, limit: float) -> bool:
    """Whether the second model is right more often, by more than chance; no rows show nothing."""
    if comparison.gain is None or comparison.p_value is None:
        return False
    return comparison.gain > 0 and comparison.p_value < limit


def _format_gain(comparison: Comparison) -> str:
    if comparison.gain is None or comparison.p_value is None:
        return "there was nothing to compare"
    p = "p < .001" if comparison.p_value < 0.001 else f"p = {comparison.p_value:.3f}"
    return f"{comparison.gain:+.3f} against its base (McNemar {p})"
