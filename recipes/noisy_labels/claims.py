"""What can be claimed of a classifier, and what is claimed where the user names no file."""

from data.labelled import SENTIMENTS, Labels
from evals import metrics
from evals.classification import keys
from recipes import claims
from recipes.noisy_labels.config import NoisyConfig

#: The metrics that must change, and those that must stay, by section: of texts, and MC1 of questions.
DEFAULTS: claims.Defaults = {
    "claims": {"auc": "above: +0", "mc1": "above: +0"},
    "keeps": {"invalid_rate": "not_above: +0.05"},
}


def read(config: NoisyConfig, labels: Labels | None) -> claims.Claims:
    """The claims of the run; ``labels``: those of its rows, None where these are questions.

    Raises:
        UserError: the file can't be used.
    """
    names = keys(labels or SENTIMENTS)
    known = {
        name: metric.range
        for metric in metrics.in_order("labels" if labels else "choices")
        if metric.statistics
        for name in (metric.names(names) if metric.names else (metric.name,))
    }
    return claims.read(config.claims, DEFAULTS, known)
