"""``mlflow run . -e export``: a registered version as files for other programs, compared with the version."""

from recipes.export.config import ExportConfig
from steps.cli import main
from steps.flags import parse
from steps.tracked_run import execute, start_run


def export(argv: list[str]) -> None:
    """Export and print the comparison; an export that differs leaves the run FAILED and no folder."""
    config = parse(ExportConfig, argv)
    config.require_version()
    from recipes.export.run import export as work

    run = start_run("export", config)
    command = f"mlflow run . -e export -P version={config.version} -P to={config.to}"
    execute(work, config, run, command)


if __name__ == "__main__":
    main(export)
