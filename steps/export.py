"""``mlflow run . -e export``: a registered version as files for other programs, compared with the version."""

from recipes.export.config import ExportConfig
from steps.cli import main
from steps.flags import parse
from steps.tracked_run import run_once


def export(argv: list[str]) -> None:
    """Export and print the comparison; an export that differs leaves the run FAILED and no folder."""
    config = parse(ExportConfig, argv)
    config.require_version()
    from recipes.export.run import export as work

    run_once("export", config, work)


if __name__ == "__main__":
    main(export)
