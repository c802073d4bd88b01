"""Parquet files as records."""

import io

from data.formats.records import Parsed, Record


def parse_parquet(raw: bytes, name: str) -> Parsed:
    """One record a row; a value that is missing is None."""
    from pyarrow import ArrowException, parquet

    try:
        table = parquet.ParquetFile(io.BytesIO(raw)).read()
    except (ArrowException, OSError) as error:
        return [], [f"{name}: it can't be read as Parquet ({str(error)[:80]})"]
    twice = sorted({column for column in table.column_names if table.column_names.count(column) > 1})
    if twice:
        return [], [f"{name}: it has the column {' and '.join(twice)} twice"]
    return [Record(f"{name} row {i}", value) for i, value in enumerate(table.to_pylist(), 1)], []
