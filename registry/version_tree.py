"""What a picker of versions shows beside the catalogue: kept checkpoints, and which versions are cells of studies."""

import contextlib
from collections.abc import Iterable

from mlflow.exceptions import MlflowException

from registry import checkpoints
from registry.experiment import search_everywhere
from registry.store import connected
from registry.study_runs import CELL
from registry.versions import Version

#: Versions whose runs are asked for their checkpoints: each is a look into the artifact store.
MOST_LOOKED_AT = 40
_MOST_CELLS = 1000


def kept_steps(versions: Iterable[Version]) -> dict[str, tuple[int, ...]]:
    """By run, the steps of the checkpoints that it keeps, ascending; of the first versions that have a run.

    Raises:
        TrackingUnavailable: the tracking server does not answer.
    """
    runs = [version.run_id for version in versions if version.run_id][:MOST_LOOKED_AT]
    found: dict[str, tuple[int, ...]] = {}
    with connected() as client:
        for run_id in dict.fromkeys(runs):
            with contextlib.suppress(MlflowException, OSError):  # a run that is gone has none
                found[run_id] = tuple(sorted(checkpoints.paths(client, run_id)))
    return found


def cell_runs() -> set[str]:
    """The ids of the runs that are cells of studies.

    Raises:
        TrackingUnavailable: the tracking server does not answer.
    """
    with connected() as client:
        return {run.info.run_id for run in search_everywhere(client, f"tags.{CELL} LIKE '%'", _MOST_CELLS)}
