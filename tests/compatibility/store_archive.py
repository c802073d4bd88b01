"""The packed store of an earlier version of the code, and how it is unpacked in any folder.

MLflow and Parley keep absolute paths: of artifacts, base models and files of rows, in their databases and in JSON and
YAML files. ``replace`` writes another folder's path in the place of the one that the store was made in.
"""

import contextlib
import json
import sqlite3
import tarfile
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
ARCHIVE, EXPECTED = FOLDER / "old_store.tar.xz", FOLDER / "expected.json"
BINARY = (".safetensors", ".png")


def expected() -> dict[str, Any]:
    """What the code that made the store answered, and how it ended what is unfinished in the store."""
    return json.loads(EXPECTED.read_text(encoding="utf-8"))


def unpack(folder: Path) -> Path:
    """Unpack the store in ``folder`` with all its paths leading there; returns ``folder``."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    replace(folder, expected()["made_in"], str(folder))
    return folder


def replace(folder: Path, old: str, new: str) -> None:
    """Write ``new`` for ``old`` in every text file under ``folder`` and in every text of its SQLite databases."""
    for path in folder.rglob("*"):
        if path.suffix == ".db":
            _replace_in_database(path, old, new)
        elif path.is_file() and path.suffix not in BINARY:
            content = path.read_bytes()
            if old.encode() in content:
                path.write_bytes(content.replace(old.encode(), new.encode()))


def _replace_in_database(path: Path, old: str, new: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        for (table,) in database.execute("select name from sqlite_master where type = 'table'").fetchall():
            for _, column, *_ in database.execute(f'pragma table_info("{table}")').fetchall():
                database.execute(
                    f'update "{table}" set "{column}" = replace("{column}", ?1, ?2) '
                    f'where typeof("{column}") = \'text\' and instr("{column}", ?1)',
                    (old, new),
                )
