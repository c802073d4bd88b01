"""A retention suite's report, from the statistics of its items."""

from collections.abc import Mapping

import numpy as np

from evals import metrics
from evals.suites.suite import Values

#: On smaller models suites are evaluated only where they are named: these know no facts and follow no instructions.
LEAST_PARAMETERS = 50e6


def report(suite: str, statistics: Mapping[str, np.ndarray]) -> Values:
    """The metrics of a suite from the statistics ``[items, k]`` of its items; those that are undefined are left out."""
    known = {name: metrics.entry(f"{suite}/{name}") for name in statistics}
    found = {name: entry.compute(statistics[name]) for name, entry in known.items() if entry and len(statistics[name])}
    values = {name: value for name, value in found.items() if isinstance(value, float)}
    return Values(values, {name: statistics[name] for name in values})
