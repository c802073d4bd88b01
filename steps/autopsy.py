"""``mlflow run . -e autopsy``: three errors that gave perfect scores, reproduced, with the checks that find them."""

from recipes.autopsy.config import AutopsyConfig
from steps.cli import main
from steps.flags import parse
from steps.tracked_run import execute, start_run


def autopsy(argv: list[str]) -> None:
    """Reproduce and print them; rows that can't be used leave the run FAILED."""
    config = parse(AutopsyConfig, argv)
    from recipes.autopsy.run import autopsy as reproduce

    execute(reproduce, config, start_run("autopsy", config), "mlflow run . -e autopsy")


if __name__ == "__main__":
    main(autopsy)
