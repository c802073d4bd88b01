"""The parts that the pages (``study.md``) of all studies share: the learners' sections, tables, missing cells."""

from collections.abc import Callable, Iterable, Sequence

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


def bullets(sentences: Iterable[str]) -> list[str]:
    """A Markdown list."""
    return [f"- {sentence}" for sentence in sentences]


def table(header: Sequence[str], left: Iterable[int], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table; the columns whose numbers are in ``left`` are aligned left, all others right."""
    lefts = set(left)
    rule = ["---" if i in lefts else "---:" for i in range(len(header))]
    return [f"| {' | '.join(cells)} |" for cells in (header, rule, *rows)]
