"""What can be wrong with a model that was trained on preferences: findings for the verdict, from held-out pairs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from evals.paired import Difference
from evals.verdict import Finding


@dataclass(frozen=True)
class PreferenceThresholds:
    """Where a finding begins."""

    collapse_nats: float = 0.5
    """likelihood_collapse: both answers' mean log-probabilities of tokens fell by more than this, in nats."""
    overshoot: float = 1.25
    """length_gaming: answers are this many times as long (or as short) as the chosen ones ..."""
    imbalance: float = 0.6
    """... where at least this share of the chosen answers are the longer (or shorter) ones, and length moved so."""


def findings(
    changes: Mapping[str, Difference],
    before_words: float,
    after_words: float,
    chosen_words: float,
    longer: float,
    limits: PreferenceThresholds = PreferenceThresholds(),
) -> Iterator[Finding]:
    """What held-out pairs show.

    Args:
        changes: from the start to the tuned model, by metric.
        before_words, after_words: mean words of the answers of the start and of the tuned model.
        chosen_words: mean words of the chosen answers of the held-out pairs.
        longer: share of the training pairs whose chosen answer is the longer one, of those that differ in length.
    """
    if "reward_accuracy" in changes:  # the log-probabilities of a model at an API are unknown
        yield from _rewards(changes, limits)
    yield from _length(before_words, after_words, chosen_words, longer, limits)


def _rewards(changes: Mapping[str, Difference], limits: PreferenceThresholds) -> Iterator[Finding]:
    accuracy = changes["reward_accuracy"]
    if not accuracy.is_increase:
        yield Finding(
            "preference_not_learned",
            f"reward accuracy {accuracy.after:.2f} on {accuracy.n} held-out pairs, "
            f"{accuracy.text('.2f')} from guessing",
        )
    falls = [changes[name].change for name in ("log_probs_chosen", "log_probs_rejected")]
    if max(falls) < -limits.collapse_nats and changes["log_probs_chosen"].is_decrease:
        yield Finding(
            "likelihood_collapse",
            f"log-probabilities of chosen and of rejected answers both fell, by {-falls[0]:.2f} and {-falls[1]:.2f} "
            "nats a token: a lower lr, a higher beta or sft_weight holds them",
        )


def _length(
    before: float, after: float, chosen: float, longer: float, limits: PreferenceThresholds
) -> Iterator[Finding]:
    if longer >= limits.imbalance and after > max(before, chosen * limits.overshoot):
        way, share = "longer", longer
    elif 1 - longer >= limits.imbalance and after < min(before, chosen / limits.overshoot):
        way, share = "shorter", 1 - longer
    else:
        return
    yield Finding(
        "length_gaming",
        f"{share:.0%} of the chosen answers are the {way} ones, and the model's answers went from {before:.1f} to "
        f"{after:.1f} words, past the {chosen:.1f} of the chosen ones",
    )
