"""Which metrics of held-out answers a run keeps and shows: all that fit its rows, or those that are named."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from data.errors import ConfigError
from evals.metric import Data
from evals.metrics import entry, in_order
from registry.version_metrics import metric_of

V = TypeVar("V")
AUTO = "auto"


def choose(setting: str, data: tuple[Data, ...], primary: str, without: Collection[str] = ()) -> frozenset[str] | None:
    """The names that ``setting``, names with commas between them, means, with ``primary``; None for ``auto``: all.

    Args:
        data: what is measured.
        without: metrics that the rows do not allow.

    Raises:
        ConfigError: there is no such metric of these rows.
    """
    if setting.strip() == AUTO:
        return None
    known = [each.name for each in in_order(*data) if each.name not in without]
    named = [each.strip() for each in setting.split(",") if each.strip()]
    wrong = [each for each in named if each not in known]
    if wrong or not named:
        raise ConfigError(f"metrics={setting}: it must be auto or metrics of these rows: {', '.join(known)}")
    return frozenset({*named, primary})


def select(found: Mapping[str, V], names: frozenset[str] | None) -> dict[str, V]:
    """Those of ``names`` with the ends of their intervals, and all of suites, which are chosen by ``suites``."""
    return {key: value for key, value in found.items() if names is None or "/" in key or metric_of(key) in names}


def is_shown(name: str, names: Collection[str] | None) -> bool:
    """Whether a metric stands among the first ones in reports: a headline of the table, or one that was named."""
    known = entry(name)
    return (known is not None and known.headline) or name in (names or ())


def select_outcome(outcome: Any, names: frozenset[str] | None) -> Any:
    """A run's outcome with no other metrics than these ``before``, ``after`` and as ``changes``.

    Its verdict and its claims were reached with all of them. The statistics of rows stay: they flag single answers, and
    runs that differ in the seed are claimed of together.
    """
    before, after = (replace(each, values=select(each.values, names)) for each in (outcome.before, outcome.after))
    return replace(outcome, before=before, after=after, changes=select(outcome.changes, names))
