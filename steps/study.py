"""``mlflow run . -e study``: a whole grid of trainings, one run a cell, and the answer in words and numbers."""

import dataclasses
import json
from typing import TYPE_CHECKING

from data.errors import ConfigError, UserError
from recipes.studies.config import EXECUTION, StudyConfig
from steps.cli import OUTPUTS, main
from steps.flags import parse
from steps.tracked_run import carry_out

if TYPE_CHECKING:
    from registry.runs import Run

SETTINGS = "config.json"


def study(argv: list[str]) -> None:
    """Run the grid; failed cells, a signal or a crash leave the parent FAILED or KILLED, to be resumed."""
    config = parse(StudyConfig, argv)
    from recipes.studies import executors
    from recipes.studies.grid import cells

    config = _saved(config) if config.resume else config
    cells(config)  # whatever doesn't go together shows before a run is opened
    if config.engine == "ray":
        executors.require_ray()
    else:
        executors.warm(config.jobs or executors.cores())
    run = _open(config)
    from recipes.studies.run import study as work

    carry_out(lambda: work(config, run), run, f"mlflow run . -e study -P resume={run.run_id}")


def _open(config: StudyConfig) -> "Run":
    from registry import runs

    run = runs.reopen(config.resume, OUTPUTS) if config.resume else runs.start("study", OUTPUTS)
    run.folder.mkdir(parents=True, exist_ok=True)
    (run.folder / SETTINGS).write_text(json.dumps(dataclasses.asdict(config), indent=1))
    print(f"Run {run.run_id}" + (" goes on" if config.resume else ""), flush=True)
    return run


def _saved(config: StudyConfig) -> StudyConfig:
    """The settings that the study was started with, and where to run from now on."""
    path = OUTPUTS / config.resume / SETTINGS
    if not path.is_file():
        raise UserError(
            f"resume={config.resume}: {path.parent} is not here, so there is nothing to go on from "
            "(a finished study has none; others can only be resumed where they ran)"
        )
    kept = StudyConfig(**json.loads(path.read_text()))
    for field in dataclasses.fields(config):
        given, before = getattr(config, field.name), getattr(kept, field.name)
        if field.name not in EXECUTION and given not in (before, field.default):
            raise ConfigError(f"resume: the study has {field.name}={before}, not {given}; leave {field.name} out")
    return dataclasses.replace(kept, **{name: getattr(config, name) for name in EXECUTION})


if __name__ == "__main__":
    main(study)
