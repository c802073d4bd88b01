"""``mlflow run . -e study``: a grid of trainings, one run a cell, and a report."""

from contextlib import ExitStack

from recipes.studies.config import EXECUTION, StudyConfig
from steps.cli import main
from steps.flags import parse
from steps.tracked_run import execute, open_run, saved_config


def study(argv: list[str]) -> None:
    """Run the grid; failed cells, a signal or a crash leave the parent FAILED or KILLED, to be resumed."""
    config = parse(StudyConfig, argv)
    from recipes.studies import executors
    from recipes.studies.grid import cells

    config = saved_config(config, EXECUTION) if config.resume else config
    cells(config)  # contradictions are reported before a run is opened
    if config.engine == "ray":
        executors.require_ray()
    else:
        executors.warm(config.jobs or executors.cores())
    with ExitStack() as stack:
        run = open_run("study", config, stack)
        from recipes.studies.run import study as work

        execute(work, config, run, f"mlflow run . -e study -P resume={run.run_id}")


if __name__ == "__main__":
    main(study)
