"""``mlflow run . -e autopsy``: three errors that gave perfect scores, reproduced, with the checks that find them."""

from recipes.autopsy.config import AutopsyConfig
from steps.cli import main
from steps.flags import parse
from steps.tracked_run import run_once


def autopsy(argv: list[str]) -> None:
    """Reproduce and print them; rows that can't be used leave the run FAILED."""
    config = parse(AutopsyConfig, argv)
    from recipes.autopsy.run import autopsy as work

    run_once("autopsy", config, work)


if __name__ == "__main__":
    main(autopsy)
