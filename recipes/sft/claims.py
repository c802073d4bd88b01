"""What can be claimed of a fine-tuning, and what is claimed where the user names no file."""

from collections.abc import Sequence
from typing import Any

from evals import metrics
from evals.suites.suite import Suite
from recipes import claims
from recipes.sft.config import TuneConfig
from recipes.sft.data import Rows, has_style

#: The metrics that must change, and those that must stay, by section.
DEFAULTS: claims.Defaults = {
    "claims": {"chrf": "above: +0", "lexicon_rate": "at_least: +0.50"},
    "keeps": {
        "stop_rate": "not_below: -0.10",
        "loop_rate": "not_above: +0.10",
        "facts/accuracy": "not_below: -0.05",
    },
}


def read(config: TuneConfig, rows: Rows, suites: Sequence[Suite[Any, Any]]) -> claims.Claims:
    """The claims of the run.

    Raises:
        UserError: the file can't be used.
    """
    return claims.read(config.claims, DEFAULTS, measured(rows, suites))


def measured(rows: Rows, suites: Sequence[Suite[Any, Any]]) -> dict[str, tuple[float, float]]:
    """The range of every metric that is measured in pairs, on the test rows and by the suites, by name."""
    found = {metric.name: metric.range for metric in metrics.in_order("answers") if metric.statistics}
    known = metrics.in_order("suites")
    for suite in suites:
        own = [metric for metric in known if metric.name.startswith(f"{suite.name}/")]
        own = own or [metric for metric in known if metric.name in {f"suite/{name}" for name in suite.reports}]
        found |= {f"{suite.name}/{metric.name.partition('/')[2]}": metric.range for metric in own}
    is_known = has_style(rows.test) is not None
    return {name: limits for name, limits in found.items() if is_known or not name.endswith("lexicon_rate")}
