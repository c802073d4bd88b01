"""``mlflow run . -e evaluate``: a registered version beside its base on the tasks of a harness."""

from dataclasses import fields

from recipes.evaluation.config import EvaluateConfig
from steps.cli import main
from steps.flags import parse
from steps.tracked_run import execute, start_run


def evaluate(argv: list[str]) -> None:
    """Evaluate and print the table; whatever is missing leaves the run FAILED and is one line."""
    config = parse(EvaluateConfig, argv)
    config.require_work()
    from recipes.evaluation.run import evaluate as work

    run = start_run("evaluate", config)
    run.folder.mkdir(parents=True, exist_ok=True)
    execute(work, config, run, command(config))


def command(config: EvaluateConfig) -> str:
    """The command that starts this evaluation again."""
    changed = [f for f in fields(config) if getattr(config, f.name) != f.default]
    return " ".join(["mlflow run . -e evaluate", *(f"-P {f.name}={getattr(config, f.name)}" for f in changed)])


if __name__ == "__main__":
    main(evaluate)
