"""``mlflow run . -e autopsy``: three errors that gave perfect scores, reproduced, with the checks that find them."""

from recipes.autopsy.config import AutopsyConfig
from steps.cli import OUTPUTS, main
from steps.flags import parse
from steps.tracked_run import execute


def autopsy(argv: list[str]) -> None:
    """Reproduce and print them; rows that can't be used leave the run FAILED."""
    config = parse(AutopsyConfig, argv)
    from recipes.autopsy.run import autopsy as reproduce
    from registry import runs, store

    store.prepare(OUTPUTS)
    run = runs.start("autopsy", OUTPUTS)
    print(f"Run {run.run_id}")
    execute(reproduce, config, run, "mlflow run . -e autopsy")


if __name__ == "__main__":
    main(autopsy)
