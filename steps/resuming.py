"""Opening a run: a fresh one, or an interrupted one with the settings that it was started with."""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from data.errors import ConfigError, UserError
from train.config import FitConfig

if TYPE_CHECKING:
    from registry import runs

C = TypeVar("C", bound=FitConfig)
SETTINGS = "config.json"


def open_run(entry: str, config: C, outputs: Path) -> "tuple[runs.Run, C]":
    """The run to write to and the config in force.

    A resumed run keeps its own settings; flags given with ``resume`` must agree with them or be left out. Beside
    rank 0, processes that train together get a run that writes nothing.

    Raises:
        UserError: the run to resume is unknown, finished, or has left nothing in ``outputs``.
    """
    from registry import runs
    from train import distributed

    run = None
    if distributed.rank() == 0:
        if config.resume:
            config = _saved(config, outputs)
            run = runs.reopen(config.resume, outputs)
        else:
            run = runs.start(entry, outputs)
            run.folder.mkdir(parents=True, exist_ok=True)
            (run.folder / SETTINGS).write_text(json.dumps(dataclasses.asdict(config), indent=1))
        print(f"Run {run.run_id}" + (" goes on" if config.resume else ""))
    run_id, config = distributed.share((run.run_id if run else "", config))
    return run or runs.NullRun(run_id, outputs / run_id), config


def _saved(config: C, outputs: Path) -> C:
    path = outputs / config.resume / SETTINGS
    if not path.is_file():
        raise UserError(
            f"resume={config.resume}: {path.parent} is not here, so there is nothing to go on from "
            "(a finished run has none; others can only be resumed where they ran)"
        )
    saved = type(config)(**{**json.loads(path.read_text()), "resume": config.resume})
    for field in dataclasses.fields(config):
        given, kept = getattr(config, field.name), getattr(saved, field.name)
        if given not in (kept, field.default):
            raise ConfigError(f"resume: the run has {field.name}={kept}, not {given}; leave {field.name} out")
    return saved
