"""``mlflow run . -e import``: a model that was made elsewhere as a registered version."""

from recipes.importing.config import ImportConfig
from steps.cli import main
from steps.flags import parse
from steps.tracked_run import run_once


def import_model(argv: list[str]) -> None:
    """Import and print the version; what can't be imported is one line, and nothing is registered."""
    config = parse(ImportConfig, argv)
    config.require_path()
    from recipes.importing.run import import_model as work

    run_once("import", config, work)


if __name__ == "__main__":
    main(import_model)
