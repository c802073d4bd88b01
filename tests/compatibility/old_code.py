"""What is shared by the scripts that run with the code of commit 47ebf1d: its folder, the store's, and its steps."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

CODE = Path.cwd()
STORE = CODE.parent / "store"
ENVIRONMENT = {
    "MLFLOW_TRACKING_URI": f"sqlite:///{STORE / 'mlflow.db'}",
    "PARLEY_OUTPUTS": str(STORE / "outputs"),
    "PYTHONPATH": str(CODE),
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "LOGNAME": "parley",  # MLflow notes who makes a run
}


def flags(**settings: Any) -> list[str]:
    return [f"--{name}={value}" for name, value in settings.items()]


def step(name: str, argv: Sequence[str], **environment: str) -> str:
    """Run a step to its end; returns what it printed."""
    command = [sys.executable, "-m", f"steps.{name}", *argv]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
