"""What can be claimed of training on preferences, and what is claimed where the user names no file."""

from collections.abc import Sequence
from typing import Any

from evals import metrics
from evals.suites.suite import Suite
from recipes import claims
from recipes.dpo.config import DpoConfig
from recipes.dpo.data import PreferenceRows
from recipes.sft import claims as of_sft

#: The metrics that must change, and those that must stay, by section.
DEFAULTS: claims.Defaults = {
    "claims": {"reward_accuracy": "above: +0.1"},
    "keeps": {
        "stop_rate": "not_below: -0.10",
        "loop_rate": "not_above: +0.10",
        "rouge1_recall": "not_below: -0.05",
        "facts/accuracy": "not_below: -0.05",
    },
}


def read(config: DpoConfig, rows: PreferenceRows, chosen: Sequence[Suite[Any, Any]]) -> claims.Claims:
    """The claims of the run.

    Raises:
        UserError: the file can't be used.
    """
    own = {metric.name: metric.range for metric in metrics.in_order("preferences") if metric.statistics}
    return claims.read(config.claims, DEFAULTS, {**of_sft.measured(rows, chosen), **own})
