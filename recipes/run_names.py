"""Names of runs, and the tags by which a table of runs is read: what was trained, on what, with how much noise."""

from pathlib import Path, PurePath


def short(place: str) -> str:
    """A data set or a base model by its own name: ``rows`` of ``folder/rows.jsonl``, ``imdb`` of ``owner/imdb``."""
    path = PurePath(place.rstrip("/"))
    return (path.stem if path.suffix.lower() in SUFFIXES else path.name) or place


SUFFIXES = (".csv", ".gguf", ".gz", ".json", ".jsonl", ".parquet", ".tsv", ".txt")


def shown_name(base: str) -> str:
    """The public name of a base: of a folder or file its own name, without the path to it."""
    path = Path(base).expanduser()
    is_path = base.startswith((".", "/", "~")) or base.count("/") > 1 or path.exists()
    return path.resolve().name if is_path else base


def share(rate: float) -> str:
    """``.3`` of 0.3, ``1`` of 1."""
    return f"{rate:g}".removeprefix("0") or "0"


def columns(base: str, dataset: str, rate: float = 0.0) -> dict[str, str]:
    """The tags of a run and of its version that are columns of a table, beside ``verdict``.

    Args:
        base: name of the base model. ``rate``: the share of labels or preferences made wrong on purpose.
    """
    return {"base": short(base), "data": short(dataset), "rate": f"{rate:g}"}
