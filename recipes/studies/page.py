"""The layout that the pages (``study.md``) of all studies share: a section per learner, the missing cells."""

from collections.abc import Callable, Sequence

from data.markdown import table
from evals.metric import Data
from evals.metrics import for_studies
from recipes.studies.statistics import Record, Records, by_value


def study_page(
    head: Sequence[str], records: Records, missing: int, section: Callable[[str, Records], Sequence[str]]
) -> str:
    """The Markdown page: ``head``, the number of ``missing`` cells, a section per learner from (name, its records)."""
    lines = [*head, ""]
    if missing:
        lines += [f"**Cells of the grid that have not ended, and are left out: {missing}.**", ""]
    for learner, own in by_value(records, "learner").items():
        lines += [f"## {learner}", "", *section(learner, own), ""]
    return "\n".join(lines)


def changes_table(records: Records, coordinates: Sequence[str], *data: Data) -> list[str]:
    """A table of each cell's changes from its base, over its own test rows, in pairs; empty where no cell has one.

    Args:
        coordinates: keys of the records that name a cell.
        data: of the metrics.
    """
    metrics = [
        metric
        for metric in for_studies("table", *data)
        if any(each.get(f"change/{metric.name}") is not None for each in records)
    ]
    if not metrics:
        return []
    rows = [
        [*(str(each[key]) for key in coordinates), *(_change(each, metric.name, metric.format) for metric in metrics)]
        for each in records
    ]
    header = [*coordinates, *(metric.shown_as for metric in metrics)]
    title = "Change from the base, with its 95 % interval over the test rows of each training:"
    return ["", title, "", *table(header, rows)]


def _change(record: Record, name: str, form: str) -> str:
    value, low, high = (record.get(f"change/{name}{end}") for end in ("", "_low", "_high"))
    if value is None:
        return ""
    return f"{value:+{form}}" + ("" if low is None or high is None else f" ({low:+{form}} to {high:+{form}})")
