"""What the steps of a comparison pass to each other."""

from collections.abc import Mapping
from dataclasses import dataclass

from evals.paired import Difference
from evals.primary import AUTO, of_answers
from recipes.compare.config import CompareConfig
from recipes.html_report.facts import Item
from registry.versions import Version


@dataclass(frozen=True)
class Side:
    """A version that is compared, and the params of its run: empty where that is gone."""

    version: Version
    params: Mapping[str, str]

    @property
    def name(self) -> str:
        """The version as ``pirate/3``."""
        return self.version.reference


def primary_of(config: CompareConfig, first: Side) -> str:
    """The metric that decides: the one that is named, or the first version's own; ``auto`` where neither says.

    Of versions that were trained on preferences it is a metric of their answers, as no pairs are compared.
    """
    return of_answers(first.version.tags.get("primary", AUTO)) if config.primary == AUTO else config.primary


@dataclass(frozen=True)
class Measured:
    """Both versions on the same ``rows`` rows.

    ``before`` and ``after`` are metrics of the first and the second version, ``changes`` those that have statistics of
    rows. ``order``: what an item's score is, in words; higher is better unless ``lowest_is_best``. ``source``: what the
    rows are, ``digest``: theirs.
    """

    before: Mapping[str, float]
    after: Mapping[str, float]
    changes: Mapping[str, Difference]
    rows: int
    items: tuple[Item, ...]
    primary: str
    order: str
    lowest_is_best: bool
    source: str
    digest: str
    notes: tuple[str, ...] = ()
