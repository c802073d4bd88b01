"""One shape for every tracked job: parse, open the run, work, and leave it with the right status."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from data.errors import UserError
from steps.cli import DISK_IS_FULL, OUTPUTS, Stopped, disk_is_full
from steps.flags import parse
from train.config import FitConfig

if TYPE_CHECKING:
    from registry.runs import Run

C = TypeVar("C", bound=FitConfig)


def run_job(entry: str, config_type: type[C], work: "Callable[[C, Run], Iterator[str]]", argv: list[str]) -> None:
    """Do ``work`` under a run called ``entry`` and print the lines that it yields.

    An error leaves the run FAILED, a signal leaves it KILLED with the hint how to go on.
    """
    config = parse(config_type, argv)
    from steps.resuming import open_run  # after parsing, so that --help and a wrong flag are answered at once
    from train import distributed

    distributed.join()
    run, config = open_run(entry, config, OUTPUTS)
    carry_out(lambda: work(config, run), run, f"mlflow run . -e {entry} -P resume={run.run_id}")
    distributed.leave()


def carry_out(work: Callable[[], Iterator[str]], run: "Run", again: str) -> None:
    """Print the lines of the work as they come and leave the run with the right status; ``again`` is how to go on."""
    try:
        for line in work():
            print(line, flush=True)
    except Stopped:
        run.finish("KILLED")
        print(f"\nStopped. To go on: {again}")
        raise
    except BaseException as error:
        run.fail(error)
        trouble = _trouble(error)
        if trouble:
            raise UserError(f"{trouble} Then go on: {again}") from error
        raise
    run.finish()
    run.discard()


def _trouble(error: BaseException) -> str:
    """What stopped the work from outside and can be mended there, or an empty string."""
    from registry import runs

    if disk_is_full(error):
        return f"{DISK_IS_FULL} Nothing was registered. Make room."
    if runs.is_away(error) and not isinstance(error, UserError):
        return "The tracking server is away. Nothing was registered. Bring it back."
    return ""
