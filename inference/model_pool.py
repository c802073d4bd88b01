"""Any version as a speaker: several of them answer one prompt side by side, token by token.

One base in memory serves all plain LoRA versions of it in one batch. Full models, and adapters that are more than
plain LoRA, are models of their own and go in lockstep. Remote models stream beside them. What is loaded stays until
others need its room.
"""

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data.errors import UserError, explain
from inference.generation import Generation, LoadedModel
from inference.loading import load_model, load_tokenizer
from inference.locations import ModelLocation, UnavailableModel
from inference.lora import CONFIG, LoraAdapter, UnsupportedAdapter, read, require_fit
from inference.packed_linear import can_pack, pack
from inference.transcript import Exchange, ModelInfo, Sampling
from inference.weights import files_digest, weights_bytes

FRAME_S = 0.04
GIB = 1 << 30
TOKENIZER_FILES = ("tokenizer*", "vocab*", "merges.txt", "*.model", "*_tokens*.json", "*.tiktoken", "chat_template*")

Key = tuple[str, ...]
#: Given references, finds the place of each, or why it can't be had.
Look = Callable[[Sequence[str]], Sequence[ModelLocation | UnavailableModel]]


class FairLock:
    """A lock that lets waiting threads through in turn: who has just left it can't get in again before them."""

    def __init__(self) -> None:
        self._door, self._room = threading.Lock(), threading.Lock()

    def __enter__(self) -> None:
        with self._door:
            self._room.acquire()

    def __exit__(self, *error: object) -> None:
        self._room.release()


@dataclass
class _Held:
    value: Any
    bytes: int


@dataclass(frozen=True)
class _Weights:
    """A place, and what its parts are held under; ``own`` is for an adapter, plain and put on by PEFT.

    Two places that hold the same share a key, even where they are different versions.
    """

    place: ModelLocation
    model: Key
    tokenizer: Key
    own: tuple[Key, Key] | None = None

    @property
    def keys(self) -> set[Key]:
        return {self.model, self.tokenizer, *(self.own or ())}


@dataclass
class ModelPool:
    """What is loaded. ``capacity_bytes`` bounds the weights that are kept.

    ``look`` finds the places of references; without it, whoever asks must have found them already.

    What the panes of one panel need is kept together even where that is more. The models are used by one thread at a
    time, the one that has ``lock``: mixed batches change modules while they run, and tokenizers bear no second thread.
    """

    look: Look | None
    capacity_bytes: int = 4 * GIB
    device: str = "cpu"
    lock: FairLock = field(default_factory=FairLock)
    _held: OrderedDict[Key, _Held] = field(default_factory=OrderedDict)

    def open(self, references: Sequence[str]) -> "ModelGroup":
        """A panel of one speaker a reference; those that can't be had say why and leave the others alone."""
        assert self.look
        return self.load(self.look(references))

    def load(self, places: Sequence[ModelLocation | UnavailableModel]) -> "ModelGroup":
        """A panel of one speaker a place."""
        with self.lock:
            found = [self._weights(place) for place in places]
            needed = {key for each in found if isinstance(each, _Weights) for key in each.keys}
            return ModelGroup(self, tuple(each if isinstance(each, LoadedModel) else self._speaker(each, needed)
                                     for each in found))  # fmt: skip

    @property
    def bytes(self) -> int:
        """Bytes of all weights that are loaded."""
        return sum(held.bytes for held in list(self._held.values()))

    def _weights(self, place: ModelLocation | UnavailableModel) -> _Weights | LoadedModel:
        if isinstance(place, UnavailableModel):
            return _mute(place.reference, place.error)
        if place.remote:
            return LoadedModel(place.voice, remote=place.remote)
        try:
            return _keyed(place)
        except Exception as error:  # whatever a stranger's files make a library raise ends this pane, not the page
            return _mute(place.voice.reference, explain(error))

    def _speaker(self, found: _Weights, needed: Set[Key]) -> LoadedModel:
        try:
            return self._load(found, needed)
        except Exception as error:
            return _mute(found.place.voice.reference, explain(error))

    def _load(self, found: _Weights, needed: Set[Key]) -> LoadedModel:
        place, voice, template = found.place, found.place.voice, found.place.template
        folder, base, spelling = place.folder, place.base, place.tokenizer
        assert folder and base and spelling
        tokenizer = self._keep(found.tokenizer, needed, 0, lambda: (load_tokenizer(spelling), 0))
        if found.own is None:
            model = self._keep(found.model, needed, voice.bytes, lambda: self._model(base))
            return LoadedModel(voice, model, None, tokenizer, template, "" if voice.kind == "base" else "a full model")
        plain, wrapped = found.own
        try:
            adapter = self._keep(plain, needed, voice.bytes, lambda: _sized(read(folder, self.device)))
            model = self._keep(found.model, needed, weights_bytes(base), lambda: self._model(base))
            require_fit(model, adapter)
            return LoadedModel(voice, model, adapter, tokenizer, template)
        except UnsupportedAdapter as reason:
            size = weights_bytes(base) + voice.bytes
            model = self._keep(wrapped, needed, size, lambda: self._wrapped(base, folder))
            return LoadedModel(voice, model, None, tokenizer, template, str(reason))

    def _model(self, folder: Path) -> tuple[Any, int]:
        model = load_model(folder, self.device)
        size = _parameter_bytes(model)
        if can_pack(model) and 2 * size <= self.capacity_bytes:
            size += pack(model)
        return model, size

    def _wrapped(self, base: Path, folder: Path) -> tuple[Any, int]:
        """A base of its own with the adapter put on by PEFT, which knows every kind."""
        from peft import PeftConfig, PeftModel

        if PeftConfig.from_pretrained(str(folder)).is_prompt_learning:
            raise UserError("it is an adapter of learned prompts; those can't be compared here")
        try:
            model = PeftModel.from_pretrained(load_model(base, self.device), str(folder)).eval()
        except Exception as error:
            raise UserError(f"the adapter can't be put on its base: {explain(error)}") from error
        return model, _parameter_bytes(model)

    def _keep(self, key: Key, needed: Set[Key], size: int, make: Callable[[], tuple[Any, int]]) -> Any:
        """What is held under ``key``. Where it is not, whatever was used longest ago makes room, and it is made.

        Args:
            needed: what must not go.
            size: how many bytes it will take, as far as is known before.
        """
        if key not in self._held:
            self._make_room(size, needed)
            value, size = make()
            self._held[key] = _Held(value, size)
            self._make_room(0, needed | {key})
        self._held.move_to_end(key)
        return self._held[key].value

    def _make_room(self, size: int, needed: Set[Key]) -> None:
        for old in [key for key in self._held if key not in needed]:
            if self.bytes + size <= self.capacity_bytes:
                return
            del self._held[old]


def _mute(reference: str, error: str) -> LoadedModel:
    return LoadedModel(ModelInfo(reference, "", "", "", "", 0), error=error)


def _keyed(place: ModelLocation) -> _Weights:
    voice, folder = place.voice, place.folder
    assert folder and place.base and place.tokenizer
    tokenizer = _tokenizer_key(place.tokenizer)
    if voice.kind != "lora":
        return _Weights(place, _model_key(folder, voice.digest), tokenizer)
    model = _model_key(place.base, voice.base_digest)
    own: Key = (voice.digest, _settings(folder, CONFIG))  # the same weights with another scale are another adapter
    return _Weights(place, model, tokenizer, (("adapter", *own), ("wrapped", *own, *model)))


def _model_key(folder: Path, digest: str) -> Key:
    """What a model is held under: its weights, and what says how to use them."""
    return ("model", digest, _settings(folder, "config.json", "generation_config.json"))


def _tokenizer_key(folder: Path) -> Key:
    files = {path for pattern in TOKENIZER_FILES for path in folder.glob(pattern) if path.is_file()}
    return ("tokenizer", files_digest(sorted(files)))


def _settings(folder: Path, *names: str) -> str:
    """The JSON files of that name in one text, without what changes nothing: who wrote them, and from where."""
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


@dataclass(frozen=True)
class ModelGroup:
    """Speakers that answer together."""

    pool: ModelPool
    speakers: tuple[LoadedModel, ...]

    @property
    def voices(self) -> tuple[ModelInfo, ...]:
        """What speaks in each pane."""
        return tuple(speaker.voice for speaker in self.speakers)

    @property
    def remote(self) -> tuple[bool, ...]:
        """Which panes speak through somebody else's server."""
        return tuple(speaker.remote is not None for speaker in self.speakers)

    @property
    def way(self) -> str:
        """How the panes are computed, and why so."""
        local = [s for s in self.speakers if s.model is not None]
        models = {id(s.model) for s in local}
        adapters = {id(s.adapter) for s in local if s.adapter}
        parts = []
        if len(models) == 1:
            parts.append("one batch" + (f", {_count(len(adapters), 'adapter')}" if adapters else ""))
        elif models:
            reasons = {f"{s.voice.reference} is {s.alone}" if s.voice.kind == "full"
                       else f"{s.voice.reference}: {s.alone}" for s in local if s.alone}  # fmt: skip
            why = "; ".join(sorted(reasons)) or "their bases differ"
            parts.append(f"{len(models)} models in lockstep ({why})")
        if any(s.remote for s in self.speakers):
            parts.append("remote models stream beside; seed: best effort")
        return ", ".join(parts)

    def ask(
        self,
        prompt: str,
        sampling: Sampling,
        history: Sequence[Exchange] = (),
        stop: Callable[[], bool] = lambda: False,
        limit_s: float = 60.0,
        system: str = "",
    ) -> Generator[Exchange, None, None]:
        """Answer ``prompt`` after ``history``; yields the exchange as it grows, last with every reply ended.

        Args:
            history: what was said before, by these same speakers in this order.
            stop: asked between tokens; once it is true, every open reply ends as stopped.
            limit_s: seconds after which every open reply ends as time.

        Raises:
            UserError: the history is not these speakers'. Whatever else goes wrong is the error of a reply.
        """
        asking = Generation(self.speakers, prompt, sampling, history, stop, limit_s, system)
        try:
            with self.pool.lock:
                asking.begin()
            yield asking.exchange
            while not asking.ended:
                local = asking.is_local
                if local:
                    with self.pool.lock:  # given up between frames, so that others get theirs
                        asking.advance(FRAME_S)
                if asking.listen(0.0 if local else FRAME_S) or local:
                    yield asking.exchange
        finally:
            asking.close()


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
