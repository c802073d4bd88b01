"""The model that a reference names: its kind, the folder of its weights on this machine, and its base.

A reference is a version (``pirate/3``, ``pirate@champion``), its base (``pirate/3:base``) or a checkpoint that its run
kept (``pirate/3:24``, by step). Any of them but a base can end in the scale of its adapter, ``pirate/3:x1.5``: 0 is the
base, 1 the version. Versions that other tools made are supported where their weights are safetensors: a
plain ``mlflow.transformers`` model, a bare PEFT folder, a bare Transformers folder.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.uri import is_local_uri

from data.errors import UserError, first_line
from inference import lora
from inference.locations import HIGHEST_SCALE, LOWEST_SCALE, REGISTERED
from inference.weights import weights_digest
from registry.checkpoints import checkpoint_folder, download_folder
from registry.store import connected, is_down, registry_address
from registry.versions import Version, resolve

BASE = "base"
#: base model's name -> its folder; raises UserError where it is unavailable
FindBase = Callable[[str], Path]


@dataclass(frozen=True)
class ModelSource:
    """Where a model's weights, tokenizer and chat template are.

    ``reference``: aliases resolved. ``kind``: base, lora, full or openai. ``folder``: its own weights; for a base, the
    base's; None for a remote model. ``base_name``, ``base_path``, ``base_digest``: of its base, as far as they are
    known. ``template``: Jinja source of its chat template, empty for the tokenizer's own. ``tokenizer``: folder of its
    tokenizer where it is not in ``folder``. ``remote``: model id and address of a remote one. ``stop_token_ids``: the
    tokens that it names as ends of an answer; versions made before 2026-11-27 name none. ``load``: how the weights of
    the base are held, as when the version was made: ``fp32``, ``bf16`` or ``4bit``; ``auto`` where none was.
    ``scale``: factor of its adapter.
    """

    reference: str
    kind: str
    folder: Path | None
    base_name: str
    base_path: str = ""
    base_digest: str = ""
    template: str = ""
    tokenizer: Path | None = None
    remote: tuple[str, str] | None = None
    stop_token_ids: frozenset[int] = frozenset()
    load: str = "fp32"
    scale: float = 1.0


def scaled(reference: str) -> tuple[str, float]:
    """The reference without the scale of its adapter, and the scale; 1 where it names none.

    Raises:
        UserError: the scale is below -1 or above 3.
    """
    match = re.fullmatch(r"(.*):x(-?\d{1,2}(?:\.\d{1,3})?)", reference.strip(), re.DOTALL)
    if match is None:
        return reference, 1.0
    scale = float(match[2])
    if not LOWEST_SCALE <= scale <= HIGHEST_SCALE:
        raise UserError(f"{reference[:80]}: an adapter's scale is from {LOWEST_SCALE:g} to {HIGHEST_SCALE:g}")
    return match[1], scale


def find(reference: str, find_base: FindBase) -> ModelSource:
    """The source of the model that ``reference`` names.

    Raises:
        UserError: there is no such version or checkpoint, its files are missing, or its weights can't be loaded
            safely; the message names which.
        TrackingUnavailable: the registry does not answer.
    """
    plain, scale = scaled(reference)
    if plain != reference:
        return _scaled(find(plain, find_base), scale)
    version, part = split(reference)
    whole = _of_version(version)
    name = version.reference
    if not part:
        return whole
    if part == BASE:
        return _base_of(whole, f"{name}:{BASE}", find_base)
    if whole.kind not in ("lora", "full"):
        raise UserError(f"{name} keeps no checkpoints: its weights are not here")
    folder = checkpoint_folder(version, int(part))
    return replace(whole, reference=f"{name}:{part}", folder=folder, tokenizer=None)


def _scaled(source: ModelSource, scale: float) -> ModelSource:
    if source.kind != "lora":
        raise UserError(f"{source.reference} has no adapter that could be scaled: it is {source.kind}")
    return replace(source, reference=f"{source.reference}:x{scale:g}", scale=scale)


def split(reference: str) -> tuple[Version, str]:
    """The version that ``reference`` names, and what of it is meant: empty, ``base`` or a step.

    Raises:
        UserError: it is no reference, or there is no such version.
    """
    match = re.fullmatch(r"(?:models:/)?([^:]{1,300}?)(?::(base|\d{1,9}))?", reference.strip())
    if match is None:
        raise UserError(f"{reference[:80]!r} names no version: write pirate/3, pirate/3:base or pirate/3:24 (a step)")
    return resolve(match[1]), match[2] or ""


def find_base_folder(source: ModelSource, find_base: FindBase) -> Path:
    """Folder of the base under ``source``: where it was when the version was made, or where it is found by name.

    Raises:
        UserError: it is unavailable, or has other weights than the version was trained on.
    """
    wanted = source.base_digest
    tried = Path(source.base_path) if source.base_path else None
    if tried and any(tried.glob("*.safetensors")) and wanted in ("", weights_digest(tried)):
        return tried
    if not source.base_name:
        raise UserError(f"the base of {source.reference} is unavailable: it is no longer at {source.base_path}")
    try:
        folder = _found_by_name(source.base_name, find_base)
    except UserError as error:
        raise UserError(f"the base of {source.reference} is unavailable: {error}") from error
    if wanted and weights_digest(folder) != wanted:
        raise UserError(
            f"the base of {source.reference} is unavailable: {source.base_name} is not the one that it was trained on "
            f"(weights {weights_digest(folder)}, not {wanted})"
        )
    return folder


def _found_by_name(name: str, find_base: FindBase) -> Path:
    """Folder of the base ``name``, which can itself be a registered version."""
    found = find(name, find_base).folder if name.startswith(REGISTERED) else None
    return found or find_base(name)


def _base_of(whole: ModelSource, reference: str, find_base: FindBase) -> ModelSource:
    if whole.kind == "openai":
        assert whole.remote
        return ModelSource(reference, "openai", None, whole.base_name, remote=(whole.base_name, whole.remote[1]))
    if not whole.base_name and not whole.base_path:
        raise UserError(f"{whole.reference} does not say which base it was made from")
    folder = find_base_folder(whole, find_base)
    name = whole.base_name or folder.name
    digest = weights_digest(folder)
    more: dict[str, Any] = {"stop_token_ids": whole.stop_token_ids, "load": whole.load}
    return ModelSource(reference, BASE, folder, name, str(folder), digest, whole.template, **more)


def _of_version(version: Version) -> ModelSource:
    return _read_source(registry_address(), version.name, version.number, version.source, (*version.tags.items(),))


@lru_cache(256)
def _read_source(registry: str, name: str, number: int, uri: str, tagged: tuple[tuple[str, str], ...]) -> ModelSource:
    """The source read from the version's files; cached, because a version's files never change."""
    tags, reference = dict(tagged), f"{name}/{number}"
    folder = _files(name, number)
    flavors = _mapping(_description(folder).get("flavors"))
    pyfunc = _mapping(flavors.get("python_function"))
    config = _mapping(pyfunc.get("config"))
    if config.get("kind") == "openai":
        return _remote(reference, config)
    if config.get("kind") in ("lora", "full"):
        artifact = _mapping(_mapping(pyfunc.get("artifacts")).get("checkpoint"))
        checkpoint = _inside(folder, str(artifact.get("path") or "artifacts/checkpoint"), reference)
        return _checkpoint(reference, checkpoint, config, tags)
    return _foreign(reference, folder, flavors, tags)


def _remote(reference: str, config: Mapping[str, Any]) -> ModelSource:
    """A version that is a model behind an OpenAI-compatible API."""
    if not config.get("model"):
        raise UserError(f"{reference} does not say which remote model it is")
    remote = (str(config["model"]), str(config.get("base_url") or ""))
    return ModelSource(reference, "openai", None, str(config.get("base_model") or ""), remote=remote)


def _checkpoint(reference: str, folder: Path, config: Mapping[str, Any], tags: Mapping[str, str]) -> ModelSource:
    """A version that this project made: a LoRA adapter or a full model."""
    _require_weights(folder, reference)
    return ModelSource(
        reference,
        str(config["kind"]),
        folder,
        tags.get("base_model") or str(config.get("base_path") or ""),
        str(config.get("base_path") or ""),
        str(config.get("base_digest") or tags.get("base_digest") or ""),
        str(config.get("chat_template") or ""),
        stop_token_ids=frozenset(config.get("stop_token_ids") or ()),
        load=str(config.get("load") or "fp32"),
    )


def _foreign(reference: str, folder: Path, flavors: Mapping[str, Any], tags: Mapping[str, str]) -> ModelSource:
    """A version that another tool made."""
    known = (tags.get("base_model", ""), "", tags.get("base_digest", ""))
    transformers = _mapping(flavors.get("transformers"))
    if transformers.get("peft_adaptor"):
        return _foreign_adapter(reference, _inside(folder, str(transformers["peft_adaptor"]), reference), tags)
    if transformers:
        weights = _inside(folder, str(transformers.get("model_binary") or "model"), reference)
        if not weights.is_dir():
            raise UserError(f"{reference} keeps only the name of its weights, {transformers.get('source_model_name')}")
        _require_weights(weights, reference)
        apart = _inside(folder, "components/tokenizer", reference)  # where MLflow keeps the other components
        return ModelSource(reference, "full", weights, *known, tokenizer=apart if apart.is_dir() else None)
    for place in (folder, *sorted(path for path in folder.glob("*") if path.is_dir() and not path.is_symlink())):
        if (place / lora.CONFIG).is_file():
            return _foreign_adapter(reference, place, tags)
        if (place / "config.json").is_file():
            _require_weights(place, reference)
            return ModelSource(reference, "full", place, *known)
    if any(folder.rglob("*.pkl")):
        raise UserError(f"{reference} is a pickled model; those are not loaded, they can run code")
    if tags.get("kind") == "tfidf":
        raise UserError(f"{reference} gives texts a label and answers no prompts: it is a TF-IDF model")
    kinds = ", ".join(map(str, flavors)) or "nothing that MLflow describes"
    raise UserError(f"{reference} is no language model that can be loaded here: it holds {kinds}")


def _foreign_adapter(reference: str, folder: Path, tags: Mapping[str, str]) -> ModelSource:
    _require_weights(folder, reference)
    trained_on = str(lora.configuration(folder).get("base_model_name_or_path") or "")
    name = tags.get("base_model") or trained_on
    if not name:
        raise UserError(f"{reference} does not say which base its adapter was made for")
    path = trained_on if Path(trained_on).is_dir() else ""
    return ModelSource(reference, "lora", folder, name, path, tags.get("base_digest", ""))


def _inside(folder: Path, name: str, reference: str) -> Path:
    """The path ``name`` in ``folder``; a version's own description could name any other path of this machine."""
    place = (folder / name).resolve()
    if not place.is_relative_to(folder.resolve()):
        raise UserError(f"{reference} names files outside of its own folder; those are not loaded")
    return place


def _mapping(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, dict) else {}


def _require_weights(folder: Path, reference: str) -> None:
    if any(folder.glob("*.safetensors")):
        return
    pickled = [path.name for path in folder.glob("*") if path.suffix in (".bin", ".pt", ".pth", ".pkl", ".ckpt")]
    if pickled:
        raise UserError(f"{reference} holds {pickled[0]}; pickled weights are not loaded, they can run code")
    raise UserError(f"{reference} holds no weights: its artifact is missing or empty")


def _description(folder: Path) -> Mapping[str, Any]:
    """The MLmodel file as plain values; empty where there is none."""
    path = folder / "MLmodel"
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise UserError(f"{path} can't be read: {first_line(error)}") from error
    return _mapping(found)


def _files(name: str, number: int) -> Path:
    """The version's artifact folder on this machine: the store's own where it is here, else a copy."""
    reference = f"{name}/{number}"
    with connected() as client:
        try:
            uri = client.get_model_version_download_uri(name, str(number))
            if uri.startswith("models:/m-"):
                uri = client.get_logged_model(uri.removeprefix("models:/")).artifact_location
            if is_local_uri(uri, is_tracking_or_registry_uri=False):
                folder = Path(local_file_uri_to_path(uri))
            else:
                # by its address: a deleted name that is registered again counts from 1
                kept = f"{name}-{number}-{hashlib.sha256(uri.encode()).hexdigest()[:16]}"
                folder = download_folder(kept, lambda place: download_artifacts(artifact_uri=uri, dst_path=place))
        except (MlflowException, OSError) as error:
            if is_down(error):
                raise
            raise UserError(f"the files of {reference} are unavailable: {first_line(error)}") from error
    if not folder.is_dir():
        raise UserError(f"the files of {reference} are missing: {folder} is no folder")
    return folder
