"""The layout that the pages (``study.md``) of all studies share: a section per learner, the missing cells."""

from collections.abc import Callable, Sequence

from recipes.studies.statistics import Records, by_value


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
