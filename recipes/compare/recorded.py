"""Two classifiers compared by the predictions that their runs kept: nothing is loaded or paid for again."""

from data.errors import UserError
from evals import metrics
from evals.primary import choose
from recipes.compare.config import CompareConfig
from recipes.compare.types import Measured, Side, primary_of
from recipes.html_report.facts import flags, make_items
from recipes.noisy_labels.page import row_scores
from registry import row_statistics, run_records

TABLE = "eval_table.json"


def is_classifier(side: Side) -> bool:
    """Whether the version was made by ``-e noisy``."""
    return "mask_sha256" in side.version.tags


def measure(config: CompareConfig, first: Side, second: Side) -> Measured:
    """Compare the kept predictions row by row.

    Raises:
        UserError: the runs have different test rows, or keep no predictions; or a setting of generation is given.
    """
    if config.dataset or config.max_new_tokens or config.suites != "none":
        raise UserError(
            "dataset, max_new_tokens, suites: versions of -e noisy are compared by what their runs predicted"
        )
    known, other = (side.version.tags.get("test_digest", "") for side in (first, second))
    if known != other:
        raise UserError(f"versions: {first.name} and {second.name} were evaluated on different rows")
    statistics = [row_statistics.load(side.version.run_id) for side in (first, second)]
    tables = [run_records.table(side.version.run_id, TABLE) for side in (first, second)]
    for side, found, table in zip((first, second), statistics, tables, strict=True):
        if not found or not table:
            raise UserError(f"versions: the run of {side.name} keeps no predictions of its test rows; train it again")
    before, after = statistics
    rows = len(after["accuracy" if "accuracy" in after else "mc1"])
    primary = choose(primary_of(config, first), "labels" if "accuracy" in after else "choices").name
    texts = [(mine["text"], mine["true"], mine["tuned"], theirs["tuned"]) for mine, theirs in zip(*tables, strict=True)]
    order, scores = zip(*map(row_scores, statistics), strict=True)
    found = [flags(each, rows) for each in statistics]
    changes = metrics.changes(before, after, config.seed)
    return Measured(
        {name: change.before for name, change in changes.items()},
        {name: change.after for name, change in changes.items()},
        changes,
        rows,
        make_items(texts, (scores[0], scores[1]), (found[0], found[1])),
        primary,
        order[1],
        False,
        f"the test rows of {first.name}, by the predictions that both runs kept",
        known,
    )
