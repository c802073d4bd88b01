"""Two models on the same items: values of each metric, and the change item by item."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from evals.bootstrap import OfSums
from evals.paired import Compare, Difference, difference, ratio

#: Statistics of a metric, ``[k]`` each, by the id of their item.
Items = Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Measured:
    """One model on a suite.

    ``values``: metrics by name, as the harness computed them. ``items``: statistics of the items of those metrics that
    are functions of their sums. ``of_sums``: that function, where it is not the first sum over the second.
    ``compares``: what compares two models, where that is not ``evals.paired.estimate``.
    """

    values: Mapping[str, float]
    items: Mapping[str, Items]
    of_sums: Mapping[str, OfSums] = field(default_factory=dict)
    compares: Mapping[str, Compare] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """Base and tuned model: ``before`` and ``after`` by metric, over the items that both have where there are any.

    ``changes`` have no entry for a metric that is no function of sums over items. ``unpaired``: how many items of a
    metric only one of the two has.
    """

    before: Mapping[str, float]
    after: Mapping[str, float]
    changes: Mapping[str, Difference]
    unpaired: Mapping[str, int]


def compare(before: Measured, after: Measured, seed: int = 0) -> Comparison:
    """The change of every metric that both have, paired by the items' ids.

    Args:
        seed: of resampled intervals.
    """
    changes, unpaired = {}, {}
    for name in before.items:
        first, second = before.items[name], after.items.get(name, {})
        both = [each for each in first if each in second]
        of_sums = before.of_sums.get(name, ratio)
        method = before.compares.get(name)
        found = difference(_rows(first, both), _rows(second, both), of_sums, seed, method) if both else None
        if found:
            changes[name] = found
        if len(both) < max(len(first), len(second)):
            unpaired[name] = len(first) + len(second) - 2 * len(both)
    values = [dict(each.values) for each in (before, after)]
    values[0] |= {name: each.before for name, each in changes.items()}
    values[1] |= {name: each.after for name, each in changes.items()}
    return Comparison(values[0], values[1], changes, unpaired)


def _rows(items: Items, ids: list[str]) -> np.ndarray:
    return np.array([items[each] for each in ids], dtype=float)


def records(before: Measured, after: Measured) -> list[dict[str, str]]:
    """One record for each metric of each item: what both models got; empty where one has no result."""
    found = []
    for name, items in before.items.items():
        other = after.items.get(name, {})
        for each in dict.fromkeys([*items, *other]):
            shown = (" ".join(f"{value:g}" for value in side.get(each, ())) for side in (items, other))
            base, tuned = (text.removesuffix(" 1") for text in shown)
            found.append({"metric": name, "item": each, "base": base, "tuned": tuned})
    return found
