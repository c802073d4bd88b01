"""Parquet and Arrow files as records."""

import io
from typing import Any

from data.formats.records import Parsed, Record


def parse_parquet(raw: bytes, name: str) -> Parsed:
    """One record a row; a value that is missing is None."""
    from pyarrow import ArrowException, parquet

    try:
        return _records(parquet.ParquetFile(io.BytesIO(raw)).read(), name)
    except (ArrowException, OSError) as error:
        return [], [f"{name}: it can't be read as Parquet ({str(error)[:80]})"]


def parse_arrow(raw: bytes, name: str) -> Parsed:
    """One record a row of a file in Arrow's file format, or its stream format, as data sets are saved to disk."""
    from pyarrow import ArrowException, ipc

    open_ = ipc.open_file if raw.startswith(b"ARROW1") else ipc.open_stream
    try:
        return _records(open_(raw).read_all(), name)
    except (ArrowException, OSError) as error:
        return [], [f"{name}: it can't be read as Arrow ({str(error)[:80]})"]


def _records(table: Any, name: str) -> Parsed:
    twice = sorted({column for column in table.column_names if table.column_names.count(column) > 1})
    if twice:
        return [], [f"{name}: it has the column {' and '.join(twice)} twice"]
    return [Record(f"{name} row {i}", value) for i, value in enumerate(table.to_pylist(), 1)], []
