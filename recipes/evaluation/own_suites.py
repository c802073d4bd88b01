"""This project's own evaluation suites on a registered version and its base."""

from functools import partial
from pathlib import Path
from typing import Any

from data import pirate
from evals import metrics
from evals.generation import Decoding
from evals.suites import table
from evals.suites.language_model import LanguageModel
from evals.suites.suite import HeldOut, Suite
from recipes import judges
from recipes.evaluation.comparison import Measured
from recipes.evaluation.models import Sides
from registry.version_metrics import has_style


def choose(setting: str, sides: Sides, seed: int, folder: Path) -> list[Suite[Any, Any]]:
    """The suites that ``setting`` names.

    A judge's replies are kept in ``folder``.

    Raises:
        ConfigError: there is no suite of a name.
    """
    style = pirate.has_pirate_words if has_style(sides.version.tags) else None
    judge = partial(judges.make, folder=folder, seed=seed)
    return table.choose(HeldOut((), seed=seed, has_style=style, judge=judge, setting="suite"), setting)


def measure(suites: list[Suite[Any, Any]], model: Any, tokenizer: Any) -> Measured:
    """The metrics ``SUITE/METRIC`` of a model, and the statistics of their items by number."""
    found = table.evaluate(LanguageModel(model, tokenizer, Decoding()), suites)
    items = {
        name: {str(i): tuple(map(float, row)) for i, row in enumerate(rows, 1)}
        for name, rows in table.statistics(found).items()
    }
    entries = {name: entry for name in items if (entry := metrics.entry(name))}
    of_sums = {name: entry.of_sums for name, entry in entries.items()}
    compares = {name: entry.compare for name, entry in entries.items() if entry.compare}
    return Measured(table.metrics(found), items, of_sums, compares)
