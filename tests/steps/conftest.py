"""Steps run here in this process, or in processes of their own from a warm parent."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

#: the flags of a run of seconds; one thread, plain arithmetic
QUICK: dict[str, Any] = {
    "dataset": "tiny",
    "epochs": 2,
    "max_new_tokens": 8,
    "threads": 1,
    "precision": "fp32",
}


def _flags(settings: dict[str, Any]) -> list[str]:
    return [f"--{name}={value}" for name, value in settings.items()]


@pytest.fixture(scope="session")
def quick(tiny_base):
    """``quick(name=value, ...)`` gives the flags of a quick run, with some of them set otherwise."""

    def quick(**settings: Any) -> list[str]:
        return _flags({**QUICK, "base_model": tiny_base, **settings})

    return quick


@pytest.fixture(scope="session")
def launch(launcher, empty_store):
    """``launch(folder, module, argv, **env)`` starts a step in ``folder``, with a store and outputs there."""

    def launch(folder: Path, module: str, argv: Sequence[object], largest_file: int = 0, **env: str):
        own = folder / "mlflow.db"
        if not own.exists():
            own.write_bytes(empty_store.read_bytes())
        given = {
            "MLFLOW_TRACKING_URI": f"sqlite:///{own}",
            "PARLEY_OUTPUTS": str(folder / "outputs"),
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            **env,
        }
        return launcher.start(module, argv, given, folder, largest_file)

    return launch
