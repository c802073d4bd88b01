"""The primary metric: the one by which a model is compared with its base, with copied prompts and with the champion."""

from collections.abc import Collection

from data.errors import ConfigError
from evals.metric import Data, Metric
from evals.metrics import METRICS, in_order

AUTO = "auto"
#: What ``auto`` takes, by what metrics are computed from.
DEFAULTS: dict[Data, str] = {
    "answers": "chrf",
    "labels": "accuracy",
    "choices": "mc1",
    "preferences": "reward_accuracy",
}


def choose(name: str, *data: Data, without: Collection[str] = ()) -> Metric:
    """The metric of ``data`` that ``name`` or ``auto`` means; ``auto`` goes by the first of ``data``.

    Args:
        without: metrics that the rows do not allow.

    Raises:
        ConfigError: there is no such metric, or it has no direction or no interval of its changes.
    """
    usable = [
        metric.name
        for metric in in_order(*data)
        if metric.statistics and metric.higher_is_better is not None and not metric.names and metric.name not in without
    ]
    chosen = DEFAULTS[data[0]] if name == AUTO else name
    if chosen not in usable:
        raise ConfigError(f"primary={name}: it must be auto or a metric of these rows: {', '.join(usable)}")
    return METRICS[chosen]


def of_answers(name: str) -> str:
    """The metric by which single answers are ranked where ``name`` is the primary one.

    That is ``name`` itself, or the default of answers where ``name`` is measured on pairs of given answers.
    """
    known = METRICS.get(name)
    return DEFAULTS["answers"] if known and known.data == ("preferences",) else name
