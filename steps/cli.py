"""The command line of every step: user errors are printed as one line, signals end the process with its clean-up."""

import errno
import io
import os
import re
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

from data.errors import UserError
from data.processes import ignore_signal

#: Where runs keep what they need to be resumed, next to the tracking database by default.
OUTPUTS = Path(os.environ.get("PARLEY_OUTPUTS", "outputs"))

DISK_IS_FULL = "The disk is full, or a file would grow past the limit set for it."
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FULL_IN_WORDS = re.compile(rf"disk is full|\(os error ({'|'.join(map(str, FULL))})\)")


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
    sys.unraisablehook = _stop_again
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal or a log that has no such character gets a "?"
    try:
        _require_utf8_text()
        _require_one_store()
        step(sys.argv[1:])
    except UserError as error:
        print(f"\n{error}", file=sys.stderr)
        _discard_unopened_run()
        sys.exit(1)
    except Stopped:
        # The interpreter's own end takes the handlers away, after which another signal would decide the exit code.
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
        sys.exit(130)
    except ModuleNotFoundError as error:
        if _is_ours(error.name or ""):
            raise
        print(f"\n{_environment_problem(error)}", file=sys.stderr)
        _discard_unopened_run()
        sys.exit(1)
    except Exception as error:
        if not disk_is_full(error):
            raise
        print(f"\n{DISK_IS_FULL} Make room and run it again.", file=sys.stderr)
        sys.exit(1)


def _discard_unopened_run() -> None:
    """Let the run that ``mlflow run`` made go, where a flag or the Python itself was refused before it was opened."""
    if "MLFLOW_RUN_ID" in os.environ and "registry.runs" not in sys.modules:
        from registry import run_finalizer  # without MLflow, whose import takes seconds

        run_finalizer.later("remove", os.environ["MLFLOW_RUN_ID"], os.environ.get("MLFLOW_TRACKING_URI", ""))


def disk_is_full(error: BaseException | None) -> bool:
    """True where ``error``, or one that it wraps, means a full disk; some libraries say so only in their message."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return True
        if not isinstance(error, UserError) and FULL_IN_WORDS.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def _is_ours(module: str) -> bool:
    return (Path(__file__).parent.parent / module.partition(".")[0]).exists()


def _environment_problem(error: ModuleNotFoundError) -> str:
    return (
        f"{sys.executable} has no package {error.name!r}, which requirements.txt names: take the Python in .venv, "
        "which `make` sets up (make pirate, .venv/bin/python -m steps.pirate, or .venv/bin before others on PATH)."
    )


def _require_utf8_text() -> None:
    """Refuse parameters and places with letters that the locale does not know: libraries fail at them in the middle."""
    places = {name: os.environ.get(name, "") for name in ("MLFLOW_TRACKING_URI", "PARLEY_OUTPUTS")}
    for name, text in [*places.items(), ("the folder", str(Path.cwd())), *(("the parameter", a) for a in sys.argv[1:])]:
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            raise UserError(f"{name} {ascii(text)} has letters that this locale does not know: set PYTHONUTF8=1")


def _require_one_store() -> None:
    """Refuse a store named by a relative path where ``mlflow run`` was started in another folder than the project's.

    MLflow makes the run in its own folder and starts this process in the project's, so the same path means two stores.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    path = Path(uri.removeprefix("sqlite:///"))
    two = uri.startswith("sqlite:///") and not path.is_absolute() and not path.exists()
    if two and "MLFLOW_RUN_ID" in os.environ:
        raise UserError(
            f"MLFLOW_TRACKING_URI={uri} means another store in {Path.cwd()} than where mlflow was started; "
            f"write the whole path: sqlite:////folder/{path.name}"
        )


def _stop(number: int, frame: object) -> None:
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, ignore_signal)  # a second signal must not interrupt the clean-up
    raise Stopped


def _stop_again(lost: "sys.UnraisableHookArgs") -> None:
    """Raise ``Stopped`` once more, 10 ms later, where it was raised in a finalizer or a callback of the interpreter.

    Python ignores what is raised there, such as in the callbacks of the import system, so the stop would be lost.
    """
    if lost.exc_type is not Stopped:
        sys.__unraisablehook__(lost)
        return
    signal.signal(signal.SIGALRM, _stop)
    signal.setitimer(signal.ITIMER_REAL, 0.01)
