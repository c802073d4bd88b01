"""The checkpoints that a run kept, by step: found among its artifacts and downloaded."""

import atexit
import functools
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.uri import is_local_uri

from data.errors import UserError, first_line
from registry.store import connected, is_down
from registry.versions import Version

FOLDER = "checkpoints"
_download_lock = threading.Lock()


def paths(client: MlflowClient, run_id: str) -> dict[int, str]:
    """Artifact folder of every kept checkpoint of the run, by step. Old runs say best-step-N and last-step-N."""
    entries = (entry.path for entry in client.list_artifacts(run_id, FOLDER) if entry.is_dir)
    named = ((re.fullmatch(rf"{FOLDER}/(?:best-|last-)?step-(\d+)", path), path) for path in entries)
    return {int(match[1]): path for match, path in sorted(named, key=lambda pair: pair[1]) if match}


def checkpoint_folder(version: Version, step: int) -> Path:
    """Folder on this machine with the weights that ``version``'s run kept at ``step``; it must not be changed.

    It is the artifact store's own folder where that is on this machine, else a copy, downloaded once a process.

    Raises:
        UserError: there is no such checkpoint, or it holds no safetensors weights; the message lists those there are.
        TrackingUnavailable: the store does not answer.
    """
    name = version.reference
    if not version.run_id:
        raise UserError(f"{name} names no run, so it has no checkpoints")
    with connected() as client:
        try:
            folder = _find(client, version.run_id, step, name)
        except MlflowException as error:
            if is_down(error):
                raise
            raise UserError(f"the run of {name} is gone, and its checkpoints with it") from error
    if not any(folder.glob("*.safetensors")):
        raise UserError(f"the checkpoint of step {step} of {name} holds no safetensors weights")
    return folder


def _find(client: MlflowClient, run_id: str, step: int, name: str) -> Path:
    run = client.get_run(run_id)
    try:
        found = paths(client, run_id)
        if step in found and is_local_uri(run.info.artifact_uri, is_tracking_or_registry_uri=False):
            return Path(local_file_uri_to_path(run.info.artifact_uri), found[step])  # MLflow would copy it
        if step in found:
            return _download(client, run_id, found[step])
    except Exception as error:  # each kind of artifact store raises errors of its own
        raise UserError(f"the checkpoint of step {step} of {name} is unavailable: {first_line(error)}") from error
    steps = ", ".join(map(str, sorted(found)))
    raise UserError(f"{name} keeps no checkpoint of step {step}; it has {steps or 'none at all'}")


def _download(client: MlflowClient, run_id: str, path: str) -> Path:
    return download_folder(f"{run_id}-{Path(path).name}", lambda place: client.download_artifacts(run_id, path, place))


def download_folder(name: str, fetch: Callable[[str], str]) -> Path:
    """The folder that ``fetch`` downloads into the folder it is given, kept as ``name`` while this process runs."""
    folder = cache_folder() / name
    with _download_lock:
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=cache_folder()) as place:
                os.replace(fetch(place), folder)  # atomic: a partial download is never used
    return folder


@functools.cache
def cache_folder() -> Path:
    """The folder of this process's downloads; removed at its end."""
    folder = Path(tempfile.mkdtemp(prefix="parley-checkpoints-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
