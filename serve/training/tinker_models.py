"""Adapters that clients train by the requests of Tinker's API: trained, saved as registered versions, and loaded."""

import hashlib
import json
import re
import shutil
import sys
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from data.conversation import Row
from data.errors import UserError, require
from evals.generation import probe
from inference.locations import ModelLocation
from inference.precision import Load
from inference.transcript import ModelInfo
from inference.weights import weights_bytes, weights_digest
from recipes.version_models import locate
from registry import registration, runs, versions
from registry.registration import LanguageModelFiles
from serve import model_names
from serve.http.tinker_messages import loss_output
from serve.store.projects import DEFAULT
from train.config import FinetuneConfig
from train.finetune import LoadedBase, load_base, logged_config
from train.stepwise import AdamSettings, StepwiseTrainer, new_adapter, saved_adapter
from train.token_losses import Datum
from train.trainable import targets_of_parts

#: The tag of a version with the path by which Tinker's SDK names its weights.
TINKER_PATH = "tinker_path"
SCHEME = "tinker://"
#: The two kinds of saved weights, as the second part of their paths; the first has the optimizer's state.
Kind = Literal["weights", "sampler_weights"]
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
PROBED = (Row((("Hello.", ""),)), Row((("What can you do?", ""),)))
MAX_RANK = 256
MAX_SEED = 2**63


@dataclass(frozen=True)
class LoraSettings:
    """What a client says of a new adapter. ``seed``: of its first weights."""

    rank: int = 32
    seed: int = 0
    train_mlp: bool = True
    train_attn: bool = True

    def __post_init__(self) -> None:
        require(1 <= self.rank <= MAX_RANK, f"lora_config: rank must be from 1 to {MAX_RANK}, not {self.rank}")
        require(0 <= self.seed < MAX_SEED, f"lora_config: seed must be at least 0 and under 2**63, not {self.seed}")


class Bases:
    """Base models that adapters are trained on; each is in memory once, as long as an adapter uses it.

    Args:
        load: how their weights are held.
    """

    def __init__(self, load: Load = "auto") -> None:
        self.load: Load = load
        self._loaded: weakref.WeakValueDictionary[str, LoadedBase] = weakref.WeakValueDictionary()

    def get(self, name: str) -> LoadedBase:
        """The base called ``name``; raises as ``load_base``."""
        found = self._loaded.get(name)
        if found is None:
            found = self._loaded[name] = load_base(self.config(name))
        return found

    def config(self, name: str) -> FinetuneConfig:
        """Settings of an adapter on the base called ``name``."""
        return FinetuneConfig(base_model=name, load=self.load, max_length=sys.maxsize)


@dataclass
class TrainedModel:
    """An adapter of one client. ``name``: its base, as the client calls it; ``start``: the version it began from.

    ``registered``: the registered model that its versions belong to; ``tags``: theirs, beside those of every version.

    ``metrics``: (step, metrics) of the optimizer steps that no run has yet; ``digest`` is over all that was trained on.
    """

    id: str
    name: str
    trainer: StepwiseTrainer
    registered: str
    organization: str
    outputs: Path
    project: str
    tags: Mapping[str, str] = field(default_factory=dict)
    start: str = ""
    run_id: str = ""
    loss_sum: float = 0.0
    metrics: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    digest: Any = field(default_factory=hashlib.sha256)

    def forward_backward(
        self, data: Sequence[Datum], loss_fn: str, settings: Mapping[str, float], forward_only: bool
    ) -> bytes:
        """Add the gradient of a loss, unless ``forward_only``; returns a ``ForwardBackwardOutput``."""
        loss, log_probs = self.trainer.forward_backward(data, loss_fn, settings, backward=not forward_only)
        if not forward_only:
            self.loss_sum += loss
            for datum in data:
                self.digest.update(datum.tokens.tobytes() + datum.targets.tobytes())
        return loss_output(loss, log_probs)

    def optim_step(self, adam: AdamSettings) -> dict[str, Any]:
        """Take an optimizer step; returns an ``OptimStepResponse``."""
        norm = self.trainer.optim_step(adam)
        found = {"train/loss": self.loss_sum, "train/grad_norm": norm, "train/lr": adam.lr}
        self.metrics.append((self.trainer.steps, found))
        self.loss_sum = 0.0
        return {"metrics": {"grad_norm:mean": norm}}

    def snapshot(self, folder: Path, reference: str, load: str) -> ModelLocation:
        """Write the weights as they are now to ``folder``; returns their location under ``reference``."""
        shutil.rmtree(folder, ignore_errors=True)
        self.trainer.save(folder)
        source = self.trainer.base.source
        info = ModelInfo(
            reference, "lora", weights_digest(folder), source.name, source.digest, weights_bytes(folder)
        )  # fmt: skip
        return ModelLocation(info, folder, source.folder, source.folder, load=load)

    def save(self, kind: Kind, name: str, tags: Mapping[str, str]) -> str:
        """Register the weights as they are now as a version; returns their path.

        Raises:
            UserError: the name can't be one, or the reloaded model is not the same; nothing is registered then.
            TrackingUnavailable: the registry does not answer.
        """
        path = self.path(kind, name)
        run = runs.reopen(self.run_id, self.outputs) if self.run_id else runs.start(self.id, self.outputs)
        self.run_id = run.run_id
        try:
            self._record(run)
            folder = run.folder / "checkpoints" / f"{kind}-{name}"
            self.trainer.save(folder, with_optimizer=kind == "weights")
            model, base, config = self.trainer.model, self.trainer.base, self.trainer.config
            probed = probe(model, base.tokenizer, PROBED, config.max_new_tokens)
            files = LanguageModelFiles(folder, logged_config(base, config), probed)
            model_id = model_names.fine_tuned_name(self.name, self.organization, name)
            found = {**self.tags, **tags, **self._tags(), TINKER_PATH: path, versions.OPENAI_ID: model_id}
            found["project"] = self.project
            registration.register(run, files, self.registered, found, self._card(path, model_id))
        except BaseException as error:
            run.fail(error)
            raise
        run.finish()
        run.discard()
        return path

    def path(self, kind: Kind, name: str) -> str:
        """The path of weights called ``name``.

        Raises:
            UserError: it can't be a name.
        """
        if not NAME.fullmatch(name):
            raise UserError(f"the name {name!r} must be up to 100 letters, digits, dots, hyphens and underscores")
        return f"{SCHEME}{self.id}/{kind}/{name}"

    def _record(self, run: runs.Run) -> None:
        config, base = self.trainer.config, self.trainer.base.source
        shown = ("rank", "alpha", "seed", "targets", "load")
        run.params({"base_model": base.name, **{name: getattr(config, name) for name in shown}})
        run.tags({"tinker_model": self.id, **self._tags()})
        for step, found in self.metrics:
            run.log(step, found)
        self.metrics.clear()

    def _tags(self) -> dict[str, Any]:
        return {
            "kind": "lora",
            **self.trainer.base.source.tags,
            "step": self.trainer.steps,
            "dataset_digest": self.digest.hexdigest()[:16],
            **({"start": self.start} if self.start else {}),
        }

    def _card(self, path: str, model_id: str) -> str:
        base, config = self.trainer.base.source, self.trainer.config
        began = f"It began from {self.start}. " if self.start else ""
        return f"""# {model_id}

{path}: an adapter on {base.name} (weights {base.digest}; {base}), trained by a client through Tinker's API and not
evaluated. {began}Its weights are those after {self.trainer.steps} optimizer steps; rank {config.rank}, alpha
{config.alpha:g}, adapted layers {config.targets}. The loss of each step is in the run's metrics.
"""


def create(bases: Bases, base: str, lora: LoraSettings, **fields: Any) -> TrainedModel:
    """A fresh adapter on the base called ``base``; ``fields`` are those of ``TrainedModel``."""
    loaded = bases.get(base)
    targets = targets_of_parts(loaded.model, lora.train_attn, lora.train_mlp)
    config = replace(bases.config(base), rank=lora.rank, seed=lora.seed, targets=targets)
    return TrainedModel(trainer=new_adapter(loaded, config), **fields)


def load(bases: Bases, version: versions.Version, with_optimizer: bool, **fields: Any) -> TrainedModel:
    """The adapter of ``version``, to be trained further; ``fields`` are those of ``TrainedModel``.

    Raises:
        UserError: its base has changed, or it was saved without the optimizer's state that is wanted.
    """
    trainer = _saved(bases, version, with_optimizer)
    return TrainedModel(trainer=trainer, start=version.reference, **fields)


def replace_weights(bases: Bases, model: TrainedModel, version: versions.Version, with_optimizer: bool) -> None:
    """Make ``model`` go on from the weights of ``version``; raises as ``load``."""
    model.trainer = _saved(bases, version, with_optimizer)
    model.start, model.loss_sum = version.reference, 0.0


def _saved(bases: Bases, version: versions.Version, with_optimizer: bool) -> StepwiseTrainer:
    found = locate(version.uri)
    loaded = bases.get(found.info.base_model)
    if loaded.source.digest != found.info.base_digest:
        raise UserError(f"{version.uri} was trained on other weights of {found.info.base_model} than are there now")
    assert found.folder
    trainer = saved_adapter(loaded, bases.config(found.info.base_model), found.folder)
    if with_optimizer:
        trainer.load_optimizer(found.folder)
    return trainer


def version_at(path: str, project: str) -> versions.Version:
    """The version of ``project`` whose weights are at ``path``.

    Raises:
        UserError: there is none.
        TrackingUnavailable: the registry does not answer.
    """
    found = versions.find_tagged(TINKER_PATH, path) if path.startswith(SCHEME) else None
    if found is None or found.tags.get("project", DEFAULT) != project:
        raise UserError(f"there are no weights at {path!r}: give the path that was returned when they were saved")
    return found


def rank_of(version: versions.Version) -> int | None:
    """The rank of the adapter of ``version``; None where its files are not there."""
    folder = locate(version.uri).folder
    file = folder / "adapter_config.json" if folder else None
    return json.loads(file.read_text())["r"] if file and file.is_file() else None


def user_tags(metadata: Mapping[str, Any] | None) -> dict[str, str]:
    """A client's metadata of saved weights, as tags of their version."""
    return {"user_metadata": json.dumps(dict(metadata))[:5000]} if metadata else {}
