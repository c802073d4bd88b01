"""The verdict on a finished classifier, from documented thresholds, with its reasons."""

from collections.abc import Mapping
from dataclasses import dataclass

from evals.classification import ClassificationReport
from evals.label_errors import Memorization
from evals.metric import format_value
from evals.metrics import METRICS
from evals.paired import Difference
from evals.sanity_checks import CONSTANT_SHARE, NOTABLE_SHARE
from evals.significance import ClassifierComparison, Comparison, format_p
from evals.verdict import Verdict

LABEL_VERDICTS = ("healthy", "silent", "constant", "memorising_noise", "worse", "not_better")
#: What must not fall: these metrics' changes from the base have no interval below 0.
NOT_LOWER = ("accuracy", "likelihood_accuracy", "auc", "mc1", "mc2")


@dataclass(frozen=True)
class LabelThresholds:
    """Where a verdict begins. Shares are of test rows, but for those of memory."""

    unanswered_share: float = 0.5
    """silent: more rows than this get an invalid answer or none."""
    constant_share: float = CONSTANT_SHARE
    """constant: one label is the answer to at least this share of the answered rows."""
    excess: float = 0.25
    """memorising_noise: flipped training rows are answered with their wrong label this much more often than test rows
    of the same true label are answered wrongly, so it has memorised these rows ..."""
    least_flipped: int = 10
    """... and there are at least so many flipped rows."""
    p_value: float = 0.05
    """not_better: McNemar's test against the base is not below this, or the gain is none."""
    unlike_share: float = NOTABLE_SHARE
    """not_better: where either side left more rows than this without a valid answer, answers say how well a format is
    kept, so the test is by the likelier label of each row (without probabilities, by the rows that both answered)."""


def decide_labels(
    base: ClassificationReport, tuned: ClassificationReport, compared: ClassifierComparison,
    memory: Memorization, flipped: tuple[int, int], limits: LabelThresholds = LabelThresholds(),
) -> Verdict:  # fmt: skip
    """The verdict on a classifier, from the reports on the same test rows, their comparison, and its training rows.

    ``flipped`` counts flipped training rows by their true label. The first verdict that applies is taken, worst first;
    all that apply give reasons.
    """
    test, gain = _gain_over(base, tuned, compared, limits)
    found = [*_answers(tuned, limits), *_memory(tuned, memory, flipped, limits), *_falls(compared.changes)]
    if not _is_better(test, limits.p_value):
        found.append(("not_better", f"it is not better than its base: {gain}"))
    found += _chance(tuned)
    if not found:
        return Verdict("healthy", (f"accuracy {tuned.accuracy:.3f}, {gain}",))
    return Verdict(found[0][0], tuple(reason for _, reason in found))


def decide_questions(before: float | None, after: float | None, compared: ClassifierComparison) -> Verdict:
    """The verdict by MC1: ``worse`` where it or MC2 fell, ``not_better`` unless it rose by more than chance."""
    figures = f"MC1 {format_value(before)} -> {format_value(after)}, {_format_gain(compared.answers)}"
    found = _falls(compared.changes)
    if not _is_better(compared.answers, LabelThresholds.p_value):
        found.append(("not_better", figures))
    return Verdict(found[0][0], tuple(reason for _, reason in found)) if found else Verdict("healthy", (figures,))


def _falls(changes: Mapping[str, Difference]) -> list[tuple[str, str]]:
    """What fell by more than chance explains."""
    return [
        ("worse", f"{METRICS[name].shown_as} fell: {each.before:.3f} -> {each.after:.3f}, {each.text()}")
        for name in NOT_LOWER
        if (each := changes.get(name)) and each.is_decrease
    ]


def _gain_over(
    base: ClassificationReport, tuned: ClassificationReport, compared: ClassifierComparison, limits: LabelThresholds
) -> tuple[Comparison, str]:
    """McNemar's test that compares like with like, and the gain by it in words."""
    unanswered = {name: _unanswered(report) for name, report in (("base", base), ("tuned model", tuned))}
    side = max(unanswered, key=lambda name: unanswered[name])
    if unanswered[side] <= limits.unlike_share:
        return compared.answers, _format_gain(compared.answers)
    why = f"{unanswered[side]:.0%} of the rows got no valid answer of the {side}"
    if not compared.likelihoods.n:
        test = compared.answered
        return test, f"{_format_gain(test)} on the {test.n} rows that both answered, for {why}"
    values = f"{format_value(base.likelihood_accuracy)} -> {format_value(tuned.likelihood_accuracy)}"
    return compared.likelihoods, (
        f"likelihood accuracy {values}, {_format_gain(compared.likelihoods)}; "
        f"accuracy {format_value(base.accuracy)} -> {format_value(tuned.accuracy)} compares formats, for {why}"
    )


def _unanswered(report: ClassificationReport) -> float:
    return sum(report.rates[name] or 0.0 for name in ("invalid", "error"))


def _answers(tuned: ClassificationReport, limits: LabelThresholds) -> list[tuple[str, str]]:
    unanswered = _unanswered(tuned)
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


def _chance(tuned: ClassificationReport) -> list[tuple[str, str]]:
    totals = [sum(row) for row in tuned.confusion]
    chance = max(totals) / sum(totals) if sum(totals) else 0.5
    if not tuned.accuracy_interval or tuned.accuracy_interval[0] > chance:
        return []
    low, high = tuned.accuracy_interval
    return [("not_better", f"its accuracy, {tuned.accuracy:.3f} ({low:.3f} to {high:.3f}), is not above the "
             f"{chance:.3f} of always saying one label")]  # fmt: skip


def _is_better(comparison: Comparison, limit: float) -> bool:
    """Whether the second model is right more often, by more than chance; no rows show nothing."""
    if comparison.gain is None or comparison.p_value is None:
        return False
    return comparison.gain > 0 and comparison.p_value < limit


def _format_gain(comparison: Comparison) -> str:
    if comparison.gain is None or comparison.p_value is None:
        return "there was nothing to compare"
    return f"{comparison.gain:+.3f} against its base (McNemar {format_p(comparison.p_value)})"
