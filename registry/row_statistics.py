"""Statistics of each held-out row, kept with a run, so that later versions can be compared with its own in pairs."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from registry.runs import Run

#: The artifact of the tuned model's statistics, and that of its base's.
NAME, BASE = "row_statistics.npz", "base_row_statistics.npz"


def save(run: Run, statistics: Mapping[str, np.ndarray], name: str = NAME) -> None:
    """Keep ``statistics``, arrays ``[rows, k]`` by metric, as the artifact ``name`` of the run."""
    path = run.folder / name
    np.savez_compressed(path, **statistics)  # type: ignore[arg-type]  (NumPy's stubs take them for an option)
    run.file(path)


def load(run_id: str, name: str = NAME) -> dict[str, np.ndarray]:
    """The statistics that the run keeps; empty where it keeps none, or is gone."""
    try:
        with TemporaryDirectory() as folder:
            path = Path(MlflowClient().download_artifacts(run_id, name, folder))
            with np.load(path) as kept:
                return dict(kept)
    except (MlflowException, OSError, ValueError):
        return {}
