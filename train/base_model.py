"""Base models: resolve a name to local files and a digest of the weights, and load them."""

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from data.errors import UserError
from data.formats.hub import probe
from inference import loading
from inference.weights import weights_digest

BUNDLED = Path(__file__).resolve().parent.parent / "data" / "base"
AUTO = "distilgpt2"
HUB_TIMEOUT_S = 3.0


@dataclass(frozen=True)
class Base:
    """A base model that can be loaded now.

    ``name``: bundled, the hub id, or the folder as given. ``folder``: where its files are. ``revision``: the hub's
    commit, or empty. ``digest``: first 16 hex digits of the SHA-256 over its weights. ``reason``: why this one.
    """

    name: str
    folder: Path
    revision: str
    digest: str
    reason: str


def resolve(wanted: str) -> Base:
    """Find the base model ``wanted`` (``auto``, ``bundled``, a folder or a hub id).

    Raises:
        UserError: it can't be had, or has no safetensors weights. Without a hub it is raised within HUB_TIMEOUT_S.
    """
    if wanted == "bundled":
        return _local("bundled", BUNDLED, "asked for")
    if wanted == "auto":
        try:
            return _from_hub(AUTO, f"auto: {AUTO} is at hand")
        except UserError as error:
            return _local("bundled", BUNDLED, f"auto: {AUTO} is not at hand ({error})")
    if Path(wanted).expanduser().is_dir():
        return _local(wanted, Path(wanted).expanduser(), "a local folder")
    if wanted.startswith((".", "/", "~")) or wanted.count("/") > 1:
        raise UserError(f"base_model={wanted}: there is no such folder")
    return _from_hub(wanted, "asked for")


def _local(name: str, folder: Path, reason: str) -> Base:
    if not (folder / "config.json").is_file():
        raise UserError(f"base_model={name}: {folder} holds no config.json, so it is no model folder")
    return Base(name, folder.resolve(), "", weights_digest(folder), reason)


def _from_hub(name: str, reason: str) -> Base:
    from huggingface_hub import snapshot_download

    patterns = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]
    try:
        folder = Path(snapshot_download(name, allow_patterns=patterns, local_files_only=True))
        weights_digest(folder)
        reason += ", from the cache"
    except Exception:  # not cached, or only in part: what the client raises for that changes between releases
        folder = _download(name, patterns)
    return Base(name, folder, folder.name, weights_digest(folder), reason)


def _download(name: str, patterns: list[str]) -> Path:
    from huggingface_hub import HfApi, get_session, snapshot_download

    problem = hub_problem()
    if problem:
        raise UserError(f"base_model={name}: not in the cache, and {problem}")
    timeout_s = 4 * HUB_TIMEOUT_S  # the hub's client would wait for ever
    get_session().timeout = timeout_s
    try:
        HfApi().model_info(name, timeout=timeout_s)
        return Path(snapshot_download(name, allow_patterns=patterns, etag_timeout=HUB_TIMEOUT_S))
    except Exception as error:
        kind = type(error).__name__
        raise UserError(f"base_model={name}: the hub does not give it ({kind}); is the name right?") from error


@cache
def hub_problem() -> str:
    """Why the hub can't be used, or an empty string; checked once a process, for at most ``HUB_TIMEOUT_S``."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return "HF_HUB_OFFLINE is set"
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    reason = probe(endpoint, HUB_TIMEOUT_S)
    return f"the hub {endpoint} can't be reached ({reason})" if reason else ""


def load(base: Base, device: str) -> tuple[Any, Any]:
    """The base's model (float32, on ``device``) and tokenizer.

    Raises:
        UserError: the files are no causal language model, or its tokenizer has no end token.
    """
    try:
        return loading.load(base.folder, device)
    except UserError as error:
        raise UserError(f"base_model={base.name}: {error}") from error


def pick_device() -> str:
    """``cuda`` where there is a GPU, else ``cpu``."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def context_length(model: Any) -> int:
    """Positions that the model has, in tokens."""
    return getattr(model.config, "max_position_embeddings", None) or 2048
