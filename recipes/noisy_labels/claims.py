"""What can be claimed of a classifier, and what is claimed where the user names no file."""

from evals import metrics
from recipes import claims
from recipes.noisy_labels.config import NoisyConfig

#: The metrics that must change, and those that must stay, by section: of texts, and MC1 of questions.
DEFAULTS: claims.Defaults = {
    "claims": {"auc": "above: +0", "mc1": "above: +0"},
    "keeps": {"invalid_rate": "not_above: +0.05"},
}


def read(config: NoisyConfig, is_questions: bool) -> claims.Claims:
    """The claims of the run; ``is_questions``: its rows are questions, not texts with labels.

    Raises:
        UserError: the file can't be used.
    """
    measured = [metric for metric in metrics.in_order("choices" if is_questions else "labels") if metric.statistics]
    return claims.read(config.claims, DEFAULTS, {metric.name: metric.range for metric in measured})
