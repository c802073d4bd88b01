"""``mlflow run . -e evaluate``: a registered version beside its base on the tasks of a harness."""

from recipes.evaluation.config import EvaluateConfig
from steps.cli import main
from steps.flags import parse
from steps.tracked_run import run_once


def evaluate(argv: list[str]) -> None:
    """Evaluate and print the table; whatever is missing leaves the run FAILED and is one line."""
    config = parse(EvaluateConfig, argv)
    config.require_work()
    from recipes.evaluation.run import evaluate as work

    run_once("evaluate", config, work)


if __name__ == "__main__":
    main(evaluate)
