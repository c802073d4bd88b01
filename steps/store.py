"""``python -m steps.store``: create the tables of a new store before ``mlflow run`` opens it (the Makefile does so)."""

import os
from pathlib import Path

from steps.cli import OUTPUTS, main


def store(argv: list[str]) -> None:
    """Check that store and outputs can be written, and create the tables of a new SQLite store.

    Where the working folder is read-only, ``mlflow run`` would place the artifacts of a new experiment in it, so the
    experiment is created here.
    """
    from registry import runs
    from registry.store import prepare

    prepare(OUTPUTS)
    if not os.access(Path.cwd(), os.W_OK):
        runs.open_store()


if __name__ == "__main__":
    main(store)
