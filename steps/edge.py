"""The edge of every step: user errors become lines, signals end a run cleanly, nothing else is hidden."""

import os
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

from data.errors import UserError

#: Where runs keep what they need to be resumed, next to the tracking database by default.
OUTPUTS = Path(os.environ.get("PARLEY_OUTPUTS", "outputs"))


class Stopped(BaseException):
    """The process was asked to stop (Ctrl-C or SIGTERM)."""


def main(step: Callable[[list[str]], None]) -> None:
    """Run ``step`` on the command line's arguments and exit: 0 done, 1 user error, 130 stopped."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    warnings.filterwarnings("ignore", category=FutureWarning)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        step(sys.argv[1:])
    except UserError as error:
        print(f"\n{error}", file=sys.stderr)
        sys.exit(1)
    except Stopped:
        sys.exit(130)


def _stop(number: int, frame: object) -> None:
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)  # one stop is enough: cleaning up must not be interrupted by a second
    raise Stopped
