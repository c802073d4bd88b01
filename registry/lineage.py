"""The code's commit and state, the environment and the first day of a run, for a version's tags and its prompts."""

import platform
import shlex
import subprocess
from datetime import date, datetime
from importlib import metadata
from pathlib import Path

from mlflow.exceptions import MlflowException

from registry import evaluation_run
from registry.null_run import NullRun
from registry.runs import Run
from registry.store import connected, is_down

ROOT = Path(__file__).resolve().parent.parent
RUNTIME = ("mlflow", "peft", "safetensors", "torch", "transformers")


def code_state() -> dict[str, str]:
    """``git_commit`` and ``git_dirty`` (true, false, or unknown where this is no git checkout)."""
    commit, changes = _git("rev-parse", "HEAD"), _git("status", "--porcelain")
    dirty = "unknown" if changes is None else str(bool(changes)).lower()
    return {"git_commit": commit or "unknown", "git_dirty": dirty}


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def environment() -> dict[str, str]:
    """Interpreter, platform and the packages that weights depend on."""
    pins = {name: metadata.version(name) for name in RUNTIME}
    return {"python": platform.python_version(), "platform": platform.platform(), **pins}


def pins(quantised: bool = False) -> list[str]:
    """``name==version`` lines that a logged model needs; a local build's suffix (``+cpu``) is left off.

    Args:
        quantised: its base is held in 4 bits.
    """
    names = (*RUNTIME, "bitsandbytes") if quantised else RUNTIME
    return [f"{name}=={metadata.version(name).split('+')[0]}" for name in names]


def metric_names(run_id: str) -> frozenset[str]:
    """The names of the metrics of a run and its evaluation; empty where it is gone, or ``run_id`` is empty.

    Raises:
        TrackingUnavailable: the tracking server does not answer.
    """
    with connected():
        try:
            return frozenset(evaluation_run.read(run_id).data.metrics) if run_id else frozenset()
        except MlflowException as error:
            if is_down(error):
                raise
            return frozenset()


def params_of(run_id: str) -> dict[str, str]:
    """The params of a run as they were given; empty where it is gone, or ``run_id`` is empty.

    ``mlflow run`` logs them quoted for a shell, so that an empty one is two quotation marks.

    Raises:
        TrackingUnavailable: the tracking server does not answer.
    """
    with connected() as client:
        try:
            logged = client.get_run(run_id).data.params if run_id else {}
            return {name: unquoted(value) for name, value in logged.items()}
        except MlflowException as error:
            if is_down(error):
                raise
            return {}


def unquoted(value: str) -> str:
    """What ``shlex.quote`` made ``value`` from; the same where it did not."""
    try:
        words = shlex.split(value)
    except ValueError:  # a quotation mark without its partner
        return value
    return words[0] if len(words) == 1 and shlex.quote(words[0]) == value else value


def start_day(run: Run) -> date:
    """The day on which ``run`` began, which a resumed run keeps; today where this process writes no run."""
    if isinstance(run, NullRun):
        return datetime.now().date()
    return datetime.fromtimestamp(run.client.get_run(run.run_id).info.start_time / 1000).date()
