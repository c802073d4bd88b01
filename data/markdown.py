"""Parts of Markdown pages: tables and lists."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[object]], left: Collection[int] = (0,)) -> list[str]:
    """The lines of a table; the columns whose numbers are in ``left`` are aligned left, all others right.

    Line breaks in cells become spaces and pipes are escaped, so that any text stays in its cell.
    """
    rule = ["---" if i in left else "---:" for i in range(len(header))]
    return [_line(header), f"| {' | '.join(rule)} |", *map(_line, rows)]


def _line(cells: Iterable[object]) -> str:
    texts = (" ".join(str(cell).split()).replace("|", r"\|") for cell in cells)
    return f"| {' | '.join(texts)} |"


def bullets(sentences: Iterable[str]) -> list[str]:
    """The lines of a list."""
    return [f"- {sentence}" for sentence in sentences]


def plain(page: str) -> str:
    """The sentences of a page for a terminal: without tables, what announces a table, code, pictures and marks."""
    page = re.sub(r"^[^|\n]*:\n\n(?=\|)", "", page, flags=re.MULTILINE)
    kept: list[str] = []
    is_code = False
    for line in page.splitlines():
        is_code ^= line.startswith("```")
        if not is_code and not line.startswith(("```", "|", "!")):
            text = line.lstrip("#").strip() if line.startswith("#") else line
            text = text.replace("**", "").replace("`", "")
            kept += [text] if text or (kept and kept[-1]) else []
    return "\n".join(kept).rstrip()


def properties(items: Mapping[str, object]) -> str:
    """A list of names and values."""
    return "\n".join(bullets(f"{name}: {value}" for name, value in items.items()))
