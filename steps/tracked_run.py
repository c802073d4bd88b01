"""Steps that write a run: parse the flags, open the run or resume it, print the work's lines, set the run's status."""

import dataclasses
import json
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, TypeVar

from data.errors import ConfigError, UserError
from recipes.html_report.commands import run_command
from steps.cli import DISK_IS_FULL, OUTPUTS, Stopped, disk_is_full
from steps.flags import parse
from steps.openmp import spin_if_idle
from train.config import FitConfig

if TYPE_CHECKING:
    from registry.runs import Run

C = TypeVar("C", bound=FitConfig)
SETTINGS = "config.json"


def run_job(entry: str, config_type: type[C], work: "Callable[[C, Run], Iterator[str]]", argv: list[str]) -> None:
    """Do ``work`` under a run called ``entry`` and print the lines that it yields.

    In distributed training only rank 0 has a run; the other processes get one that writes nothing. Refused input leaves
    no run, another error leaves it FAILED; a signal leaves it KILLED and prints how to resume it.
    """
    config = parse(config_type, argv)
    spin_if_idle()
    from registry.null_run import NullRun  # after parsing, so that --help and a wrong flag are answered at once
    from train import distributed

    distributed.join()
    run = None
    with ExitStack() as stack:
        if distributed.rank() == 0:
            config = saved_config(config) if config.resume else config
            run = open_run(entry, config, stack)
        run_id, config = distributed.share((run.run_id if run else "", config))
        execute(work, config, run or NullRun(run_id, OUTPUTS / run_id), f"mlflow run . -e {entry} -P resume={run_id}")
    distributed.leave()


def run_once(entry: str, config: Any, work: "Callable[[Any, Run], Iterator[str]]") -> None:
    """Do ``work``, which is not resumed, under a new run called as ``config`` says, and print the lines that it yields.

    Raises:
        UserError: the store can't be written, the tracking server does not answer, or the work's own.
    """
    from registry import runs, store
    from registry.run_records import ENTRY

    store.prepare(OUTPUTS)
    execute(work, config, runs.start(config.run_name, OUTPUTS, {ENTRY: entry}), run_command(entry, config))


def open_run(entry: str, config: Any, stack: ExitStack) -> "Run":
    """A new run called as ``config`` says, its folder with the settings made, or the run that ``config.resume`` names.

    Until ``stack`` is closed, the run is known to be written by this process.

    Raises:
        UserError: the store can't be written, the run to resume is unknown or still going, or the tracking server does
            not answer.
    """
    from registry import run_process, runs, store
    from registry.run_records import ENTRY

    store.prepare(OUTPUTS)
    if config.resume:
        stack.enter_context(run_process.held(OUTPUTS / config.resume))
        run = runs.reopen(config.resume, OUTPUTS)
    else:
        run = runs.start(config.run_name, OUTPUTS, {ENTRY: entry})
        stack.enter_context(run_process.held(run.folder))
        (run.folder / SETTINGS).write_text(json.dumps(dataclasses.asdict(config), indent=1))
    return run


def saved_config(config: Any, changeable: Collection[str] = ("resume",)) -> Any:
    """The settings that the run ``config.resume`` was started with, but for the fields ``changeable`` of ``config``.

    Raises:
        UserError: the run has left nothing in the outputs folder, so it is finished or ran on another machine.
        ConfigError: another field of ``config`` is neither its default nor the saved value.
    """
    path = OUTPUTS / config.resume / SETTINGS
    if not path.is_file():
        raise UserError(
            f"resume={config.resume}: {path.parent} is not here, so there is nothing to resume from "
            "(a finished run has none; others can only be resumed where they ran)"
        )
    given = {name: getattr(config, name) for name in changeable}
    saved = type(config)(**{**json.loads(path.read_text()), **given})
    for field in dataclasses.fields(config):
        value, kept = getattr(config, field.name), getattr(saved, field.name)
        if value not in (kept, field.default):
            raise ConfigError(f"resume: the run has {field.name}={kept}, not {value}; leave {field.name} out")
    return saved


def execute(work: "Callable[[Any, Run], Iterator[str]]", config: Any, run: "Run", command: str) -> None:
    """Print the lines of ``work(config, run)`` as they come and set the run's status; ``command`` starts it again.

    A run whose input is refused before anything is recorded is removed.
    """
    try:
        for number, line in enumerate(work(config, run)):
            if not number:
                print(f"Run {run.run_id}" + (" is resumed" if getattr(config, "resume", "") else ""), flush=True)
            print(line, flush=True)
        run.finish()
    except Stopped:
        run.finish("KILLED")
        print(f"\nStopped. To continue: {command}")
        raise
    except BaseException as error:
        if isinstance(error, UserError) and not run.has_begun:
            run.refuse()
            raise
        run.fail(error)
        outside = _outside_cause(error)
        if outside:
            raise UserError(f"{outside} Then continue: {command}") from error
        raise
    run.discard()


def _outside_cause(error: BaseException) -> str:
    """A full disk or a tracking server that does not answer, with what to do about it; else an empty string."""
    from registry.errors import is_unreachable

    if disk_is_full(error):
        return f"{DISK_IS_FULL} Nothing was registered. Make room."
    if is_unreachable(error) and not isinstance(error, UserError):
        return "The tracking server does not answer. Nothing was registered. Start it again."
    return ""
