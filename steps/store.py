"""``python -m steps.store``: create the tables of a new store before ``mlflow run`` opens it (the Makefile does so)."""

from steps.cli import OUTPUTS, main


def store(argv: list[str]) -> None:
    """Check that store and outputs can be written, and create the tables of a new SQLite store."""
    from registry.store import prepare

    prepare(OUTPUTS)


if __name__ == "__main__":
    main(store)
