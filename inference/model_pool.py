"""A cache of loaded models: what is loaded stays until others need its memory.

One base in memory serves all plain LoRA versions of it. Full models, and adapters that are more than plain LoRA, are
models of their own.
"""

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from data.chat_format import direct_template
from data.errors import UserError, explain
from inference.generation import LoadedModel
from inference.loading import load_model, load_tokenizer
from inference.locations import ModelLocation, UnavailableModel
from inference.lora import CONFIG, LoraAdapter, UnsupportedAdapter, read, require_fit
from inference.model_group import ModelGroup
from inference.packed_linear import can_pack, can_pack_bf16, pack
from inference.precision import choose
from inference.transcript import ModelInfo
from inference.weights import files_digest, weights_bytes

GIB = 1 << 30
TOKENIZER_FILES = ("tokenizer*", "vocab*", "merges.txt", "*.model", "*_tokens*.json", "*.tiktoken", "chat_template*")

Key = tuple[str, ...]
#: Given references, finds the location of each, or the reason why it can't be loaded.
Look = Callable[[Sequence[str]], Sequence[ModelLocation | UnavailableModel]]


class FairLock:
    """A lock that waiting threads get in turn: a thread that released it can't take it again before them."""

    def __init__(self) -> None:
        self._queue, self._lock = threading.Lock(), threading.Lock()

    def __enter__(self) -> None:
        with self._queue:
            self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        self._lock.release()


@dataclass
class _Entry:
    value: Any
    bytes: int


@dataclass(frozen=True)
class _Keys:
    """A location and the cache keys of its parts; ``adapter``: of an adapter, as tensors and as a PEFT model.

    Two locations with the same files share a key, even where they are different versions.
    """

    location: ModelLocation
    model: Key
    tokenizer: Key
    adapter: tuple[Key, Key] | None = None

    @property
    def keys(self) -> set[Key]:
        return {self.model, self.tokenizer, *(self.adapter or ())}


@dataclass
class ModelPool:
    """The models that are loaded. ``capacity_bytes`` bounds the weights that are kept.

    ``look`` finds the locations of references; without it, ``load`` takes locations that were found elsewhere.

    The models of one group are kept together even where they take more. They are used by one thread at a time, the one
    that has ``lock``: mixed batches set hooks on modules while they run, and tokenizers are not safe for threads.
    """

    look: Look | None
    capacity_bytes: int = 4 * GIB
    device: str = "cpu"
    lock: FairLock = field(default_factory=FairLock)
    _entries: OrderedDict[Key, _Entry] = field(default_factory=OrderedDict)

    def open(self, references: Sequence[str]) -> ModelGroup:
        """The models of ``references``; one that can't be loaded has an error and does not affect the others."""
        assert self.look
        return self.load(self.look(references))

    def load(self, locations: Sequence[ModelLocation | UnavailableModel]) -> ModelGroup:
        """The models at ``locations``; what is loaded already is used again."""
        with self.lock:
            found = [self._keys(location) for location in locations]
            needed = {key for each in found if isinstance(each, _Keys) for key in each.keys}
            return ModelGroup(self, tuple(each if isinstance(each, LoadedModel) else self._loaded(each, needed)
                                     for each in found))  # fmt: skip

    @property
    def bytes(self) -> int:
        """Bytes of all weights that are loaded."""
        return sum(entry.bytes for entry in list(self._entries.values()))

    def _keys(self, location: ModelLocation | UnavailableModel) -> _Keys | LoadedModel:
        if isinstance(location, UnavailableModel):
            return _unavailable(location.reference, location.error)
        if location.remote:
            return LoadedModel(location.info, remote=location.remote)
        try:
            return _keys_of(location)
        except Exception as error:  # a library can raise anything for broken files: it ends this pane, not the page
            return _unavailable(location.info.reference, explain(error))

    def _loaded(self, found: _Keys, needed: Set[Key]) -> LoadedModel:
        try:
            return self._load(found, needed)
        except Exception as error:
            return _unavailable(found.location.info.reference, explain(error))

    def _load(self, found: _Keys, needed: Set[Key]) -> LoadedModel:
        location, info, template = found.location, found.location.info, found.location.template
        folder, base, tokenizer_folder = location.folder, location.base, location.tokenizer
        assert folder and base and tokenizer_folder
        held = self._held(location)
        tokenizer = self._keep(found.tokenizer, needed, 0, lambda: (load_tokenizer(tokenizer_folder), 0))
        template, stops = template or direct_template(tokenizer), location.stop_token_ids
        if found.adapter is None:
            model = self._keep(found.model, needed, info.bytes, lambda: self._model(base, held))
            alone = "" if info.kind == "base" else "a full model"
            return LoadedModel(info, model, None, tokenizer, template, alone, stop_token_ids=stops)
        plain, wrapped = found.adapter
        try:
            adapter = self._keep(plain, needed, info.bytes, lambda: _sized(read(folder, self.device)))
            model = self._keep(found.model, needed, weights_bytes(base), lambda: self._model(base, held))
            require_fit(model, adapter)
            adapter = adapter if location.scale == 1 else replace(adapter, scale=adapter.scale * location.scale)
            return LoadedModel(info, model, adapter, tokenizer, template, stop_token_ids=stops)
        except UnsupportedAdapter as reason:
            if location.scale != 1:
                raise UserError(f"only a plain LoRA adapter can be scaled: {reason}") from reason
            size = weights_bytes(base) + info.bytes
            model = self._keep(wrapped, needed, size, lambda: self._wrapped(base, folder, held))
            return LoadedModel(info, model, None, tokenizer, template, str(reason), stop_token_ids=stops)

    def _held(self, location: ModelLocation) -> str:
        """How the weights are held: as the version says; else in bfloat16 where that changes no weight and is fast."""
        assert location.base
        packed = self.device == "cpu" and can_pack_bf16()
        return choose(location.load, location.base, self.device, packed=packed)

    def _model(self, folder: Path, held: str) -> tuple[Any, int]:
        model = load_model(folder, self.device, held)
        size = _parameter_bytes(model)
        if can_pack(model) and 2 * size <= self.capacity_bytes:
            size += pack(model)
        return model, size

    def _wrapped(self, base: Path, folder: Path, held: str) -> tuple[Any, int]:
        """A copy of the base with the adapter loaded by PEFT, which knows every kind."""
        from peft import PeftConfig, PeftModel

        if PeftConfig.from_pretrained(str(folder)).is_prompt_learning:
            raise UserError("it is an adapter of learned prompts; those can't be compared here")
        try:
            model = PeftModel.from_pretrained(load_model(base, self.device, held), str(folder)).eval()
        except Exception as error:
            raise UserError(f"the adapter can't be put on its base: {explain(error)}") from error
        return model, _parameter_bytes(model)

    def _keep(self, key: Key, needed: Set[Key], size: int, make: Callable[[], tuple[Any, int]]) -> Any:
        """The entry of ``key``; where there is none, it is made, after the least recently used ones were removed.

        Args:
            needed: keys that are not removed.
            size: bytes that it will take, as far as is known before.
        """
        if key not in self._entries:
            self._make_room(size, needed)
            value, size = make()
            self._entries[key] = _Entry(value, size)
            self._make_room(0, needed | {key})
        self._entries.move_to_end(key)
        return self._entries[key].value

    def _make_room(self, size: int, needed: Set[Key]) -> None:
        for old in [key for key in self._entries if key not in needed]:
            if self.bytes + size <= self.capacity_bytes:
                return
            del self._entries[old]


def _unavailable(reference: str, error: str) -> LoadedModel:
    return LoadedModel(ModelInfo(reference, "", "", "", "", 0), error=error)


def _keys_of(location: ModelLocation) -> _Keys:
    info, folder = location.info, location.folder
    assert folder and location.base and location.tokenizer
    tokenizer = _tokenizer_key(location.tokenizer)
    if info.kind != "lora":
        return _Keys(location, _model_key(folder, info.digest, location.load), tokenizer)
    model = _model_key(location.base, info.base_digest, location.load)
    own: Key = (info.digest, _settings(folder, CONFIG))  # the same weights with another scale are another adapter
    return _Keys(location, model, tokenizer, (("adapter", *own), ("wrapped", *own, *model)))


def _model_key(folder: Path, digest: str, load: str) -> Key:
    """The cache key of a model: its weights, how they are held, and the settings that change how they are used."""
    return ("model", digest, load, _settings(folder, "config.json", "generation_config.json"))


def _tokenizer_key(folder: Path) -> Key:
    files = {path for pattern in TOKENIZER_FILES for path in folder.glob(pattern) if path.is_file()}
    return ("tokenizer", files_digest(sorted(files)))


def _settings(folder: Path, *names: str) -> str:
    """The JSON files of these names as one text, without fields that only note their origin."""
    found = {}
    for name in names:
        path = folder / name
        read = json.loads(path.read_text()) if path.is_file() else None
        notes = ("_name_or_path", "transformers_version", "base_model_name_or_path", "peft_version")
        found[name] = {k: v for k, v in read.items() if k not in notes} if isinstance(read, dict) else read
    return json.dumps(found, sort_keys=True)


def _parameter_bytes(model: Any) -> int:
    return sum(p.numel() * p.element_size() for p in model.parameters())


def _sized(adapter: LoraAdapter) -> tuple[LoraAdapter, int]:
    return adapter, adapter.bytes
