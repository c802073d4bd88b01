"""The files of a model that was made elsewhere: what they are, their base, and the model in memory."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.chat_format import answer_directly, chat_format, stop_token_ids, template_of
from data.errors import UserError, first_line
from inference import loading, lora
from inference.weights import weights_digest
from recipes.importing.config import ImportConfig
from train import base_model
from train.base_model import HUB_FILES, HUB_IDS, Base

#: Bases by their id on the hub that can be had without it.
SHORT_NAMES = {hub_id: name for name, hub_id in HUB_IDS.items()}
TOKENIZER = "tokenizer_config.json"


@dataclass(frozen=True)
class Found:
    """The model: ``folder`` of its files, ``kind`` (lora or full), its base (None where it is unknown), its origin."""

    folder: Path
    kind: str
    base: Base | None
    source: str

    @property
    def digest(self) -> str:
        """First 16 hex digits of the SHA-256 over its weights."""
        return weights_digest(self.folder)


def find(config: ImportConfig) -> Found:
    """What ``path`` names, and its base.

    Raises:
        UserError: there is nothing that can be imported, its weights are pickled, or its base can't be had.
    """
    path = Path(config.path).expanduser()
    if (path / lora.CONFIG).is_file():
        name = config.base_model or str(lora.configuration(path).get("base_model_name_or_path") or "")
        if not name:
            raise UserError(f"path={path} is an adapter that names no base: give it with base_model=")
        return Found(path, "lora", base_model.resolve(SHORT_NAMES.get(name, name)), "PEFT adapter")
    if not path.exists():
        raise UserError(f"path={path}: there is no such folder or file")
    try:
        whole = base_model.resolve(str(path))
    except UserError as error:
        raise UserError(f"path={path}: {str(error).removeprefix(f'base_model={path}: ')}") from error
    base = base_model.resolve(config.base_model) if config.base_model else None
    return Found(whole.folder, "full", base, whole.source)


def load(found: Found) -> tuple[Any, Any]:
    """Model in float32 (a PEFT model where it is an adapter) and tokenizer, whose chat template answers directly.

    Raises:
        UserError: the files can't be loaded, or don't fit the base.
    """
    from peft import PeftModel

    folder = found.folder if found.kind == "full" or not found.base else found.base.folder
    model, tokenizer = loading.load(folder)
    if found.kind == "lora":
        _require_fit(model, found.folder)
        tokenizer = _own_tokenizer(found.folder, tokenizer)
        try:
            model = PeftModel.from_pretrained(model, str(found.folder)).eval()
        except Exception as error:  # a broken adapter can make a library fail in any way
            raise UserError(f"path={found.folder}: PEFT can't load it: {first_line(error)}") from error
    answer_directly(tokenizer)
    return model, tokenizer


def _require_fit(model: Any, folder: Path) -> None:
    """Refuse a plain LoRA adapter whose layers are not the model's; others are left to PEFT."""
    try:
        lora.require_fit(model, lora.read(folder))
    except lora.UnsupportedAdapter:
        return
    except UserError as error:
        raise UserError(f"path={folder}: {error}") from error


def _own_tokenizer(folder: Path, tokenizer: Any) -> Any:
    """The base's tokenizer with the chat template that comes with the adapter.

    Raises:
        UserError: the adapter's tokenizer has other tokens than the base's.
    """
    if not (folder / TOKENIZER).is_file():
        return tokenizer
    own = loading.load_tokenizer(folder)
    if own.get_vocab() != tokenizer.get_vocab():
        raise UserError(f"path={folder}: its tokenizer has other tokens than its base's; import the merged model")
    if own.chat_template:
        tokenizer.chat_template = own.chat_template
    return tokenizer


def model_config(found: Found, model: Any, tokenizer: Any, max_new_tokens: int) -> dict[str, Any]:
    """What the version is logged with, see ``registry.chat_model``."""
    named = _named_stops(found.folder) if found.kind == "lora" else frozenset()
    return {
        "kind": found.kind,
        "base_path": str(found.base.folder) if found.base else "",
        "base_digest": found.base.digest if found.base else "",
        "load": "fp32",
        "chat_template": template_of(tokenizer),
        "stop_token_ids": sorted(named | stop_token_ids(tokenizer, model)),
        "thought_end": chat_format(tokenizer).scaffold,
        "max_new_tokens": max_new_tokens,
    }


def _named_stops(folder: Path) -> frozenset[int]:
    """The end tokens in the generation configuration beside an adapter."""
    try:
        named = json.loads((folder / "generation_config.json").read_text(encoding="utf-8")).get("eos_token_id")
    except (OSError, ValueError, AttributeError):
        return frozenset()
    return frozenset(each for each in (named if isinstance(named, list) else [named]) if isinstance(each, int))


def copy(found: Found, place: Path) -> None:
    """Copy the model's files to ``place``: those that are read, and nothing that could run code."""
    place.mkdir(parents=True)
    base_model.copy_files(found.folder, place, [lora.CONFIG, lora.WEIGHTS] if found.kind == "lora" else HUB_FILES)
    if found.kind == "lora" and found.base:
        path = place / lora.CONFIG
        settings = {**json.loads(path.read_text()), "base_model_name_or_path": found.base.pretrained_name}
        path.write_text(json.dumps(settings, indent=2))
