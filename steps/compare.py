"""``mlflow run . -e compare``: two registered versions on the same held-out rows, metric by metric and row by row."""

from recipes.compare.config import CompareConfig
from steps.cli import main
from steps.flags import parse
from steps.tracked_run import run_once


def compare(argv: list[str]) -> None:
    """Compare them under a run of its own; an error leaves the run FAILED."""
    config = parse(CompareConfig, argv)
    _ = config.pair  # a wrong setting shows before a run is opened
    from recipes.compare.run import compare as work

    run_once("compare", config, work)


if __name__ == "__main__":
    main(compare)
