"""Tasks of inspect_ai, whose requests go to a server of this project that is started for the evaluation."""

import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from data.errors import UserError, first_line
from openai_jobs.endpoint import Endpoint
from openai_jobs.local_server import LocalServer
from recipes.evaluation.comparison import Measured

#: Metrics of inspect_ai that are means of samples, or their standard errors: the paired change stands in their place.
MEANS = ("accuracy", "mean", "stderr", "std", "var", "bootstrap_stderr")


def require_installed() -> None:
    """Check that inspect_ai is there.

    Raises:
        UserError: it is not.
    """
    if not find_spec("inspect_ai"):
        raise UserError("suite=inspect: needs inspect-ai, which is optional: pip install -r requirements-eval.txt")


def require_file(task: str) -> None:
    """Check that ``FILE.py@TASK`` names a file.

    Raises:
        UserError: it does not.
    """
    file, _, _ = task.partition("@")
    if not file.endswith(".py") or not Path(file).is_file():
        raise UserError(f"suite=inspect:{task}: there is no file {file or '(none)'}; write inspect:FILE.py@TASK")


def measure(
    task: str, models: Sequence[str], folder: Path, tracking_uri: str, limit: int = 0, seed: int = 0, threads: int = 0
) -> list[Measured]:
    """What each of ``models``, references of the registry, gets on a task.

    Answers are greedy where the task sets no temperature. The server's log and inspect_ai's are in ``folder``.

    Raises:
        UserError: the server does not start, or the task fails.
    """
    command = (sys.executable, "-m", "steps.serve", "--chat_threads", str(threads))
    server = LocalServer(folder, tracking_uri, command)
    try:
        server.wait()
        return [_measure(task, model, server.endpoint, folder, limit, seed) for model in models]
    finally:
        server.close()


def _measure(task: str, model: str, endpoint: Endpoint, folder: Path, limit: int, seed: int) -> Measured:
    from inspect_ai import eval as run_task  # pyright: ignore[reportMissingImports]
    from inspect_ai.model import GenerateConfig, get_model  # pyright: ignore[reportMissingImports]

    settings = GenerateConfig(temperature=0.0, seed=seed)
    served = get_model(
        f"openai-api/parley/{model}", base_url=endpoint.address, api_key=endpoint.api_key, config=settings
    )
    try:
        logs = run_task(
            task,
            model=served,
            limit=limit or None,
            log_dir=str(folder / "inspect"),
            display="none",
            score_display=False,
        )
    except Exception as error:  # a task is a program
        raise UserError(f"suite=inspect:{task} can't be run: {first_line(error)}") from error
    for log in logs:
        if log.status != "success":
            why = log.error.message if log.error else log.status
            raise UserError(f"suite=inspect:{task} failed on {model}: {' '.join(why.split())[:300]}")
    if not logs:
        raise UserError(f"suite=inspect:{task}: the file has no such task")
    return measured(logs)


def measured(logs: Sequence[Any]) -> Measured:
    """The metrics ``TASK/SCORER`` of logs: the mean of its samples' scores, as numbers.

    A sample that was answered several times (epochs) counts once, with the mean of its scores.
    """
    values: dict[str, float] = {}
    scores: dict[str, dict[str, list[float]]] = {}
    for log in logs:
        task = log.eval.task.rpartition("/")[2]
        for result in log.results.scores if log.results else ():
            named = {key: each.value for key, each in result.metrics.items() if key not in MEANS}
            values |= {f"{task}/{result.name}/{key}": float(value) for key, value in named.items()}
        for sample in log.samples or ():
            for name, number in _numbers(sample.scores or {}).items():
                scores.setdefault(f"{task}/{name}", {}).setdefault(str(sample.id), []).append(number)
    items = {
        name: {sample: (sum(found) / len(found), 1.0) for sample, found in samples.items()}
        for name, samples in scores.items()
    }
    means = {name: sum(row[0] for row in rows.values()) / len(rows) for name, rows in items.items()}
    return Measured({**values, **means}, items)


def _numbers(scores: Mapping[str, Any]) -> dict[str, float]:
    """A sample's scores by scorer; those of a scorer with several values by ``SCORER/KEY``."""
    from inspect_ai.scorer import value_to_float  # pyright: ignore[reportMissingImports]

    number, found = value_to_float(), {}
    for name, score in scores.items():
        if isinstance(score.value, Mapping):
            found |= {f"{name}/{key}": number(value) for key, value in score.value.items() if value is not None}
        elif not isinstance(score.value, list):
            found[name] = number(score.value)
    return found
