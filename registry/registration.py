"""Registering a model: log it, prove by reloading that it is the same model, make it a version with tags and a card."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from data.progress import progress_bar
from registry import lineage, versions
from registry.runs import Run
from registry.versions import Probe, Version


class Loggable(Protocol):
    """A model that can be logged to a run and compared with what was logged."""

    def log(self, run: Run) -> str:
        """Log the model under ``run``; returns its URI."""
        ...

    def verify(self, uri: str) -> None:
        """Load the model at ``uri`` anew and compare it with this one.

        Raises:
            UserError: it is not the same; nothing may be registered then.
        """
        ...


@dataclass(frozen=True)
class LanguageModelFiles:
    """A saved LoRA adapter or whole model, and what the model in memory answers.

    ``checkpoint``: folder in PEFT's or Transformers' layout. ``model_config``: see ``train.finetune.Finetuned``.
    """

    checkpoint: Path
    model_config: Mapping[str, Any]
    probe: Probe

    def log(self, run: Run) -> str:
        """Log the checkpoint under ``run``; returns the model's URI."""
        pins = lineage.pins(quantised=self.model_config.get("load") == "4bit")
        return versions.log_model(run, self.checkpoint, self.model_config, pins, self.probe.prompts[0])

    def verify(self, uri: str) -> None:
        """Compare the logits and greedy answers of the model at ``uri`` with those in memory.

        Raises:
            UserError: an answer differs, or a logit by more than 1e-4.
        """
        versions.verify(uri, self.probe)


@dataclass(frozen=True)
class RemoteModel:
    """A model behind an OpenAI-compatible API: its id, its base's id, and the API's address (empty: OpenAI's)."""

    model: str
    base_model: str
    base_url: str
    max_new_tokens: int

    def log(self, run: Run) -> str:
        """Log id and address under ``run``; returns the model's URI."""
        return versions.log_remote(run, self.model, self.base_model, self.base_url, self.max_new_tokens)

    def verify(self, uri: str) -> None:
        """Check that the model at ``uri`` would call the same model at the same address; nothing is sent.

        Raises:
            UserError: it would not.
        """
        versions.verify_remote(uri, self.model, self.base_url)


@dataclass(frozen=True)
class LoggedFiles:
    """A model that another run has logged and verified at ``uri``."""

    uri: str

    def log(self, run: Run) -> str:
        """Nothing is left to log; returns the URI."""
        return self.uri

    def verify(self, uri: str) -> None:
        """Nothing is left to verify."""


def register(run: Run, model: Loggable, name: str, tags: Mapping[str, Any], card: str) -> Version:
    """Log ``model`` under ``run``, verify it, and make it the next version of ``name``.

    Args:
        tags: of the version; the state of the code is added.
        card: the version's description in Markdown, kept with the run as ``model_card.md`` too.

    Raises:
        UserError: the reloaded model is not the same; nothing is registered then.
    """
    with progress_bar(3, "logging the model", "step") as bar:
        uri = model.log(run)
        _next(bar, "loading it anew and comparing")
        model.verify(uri)
        _next(bar, "registering")
        run.text(card, "model_card.md")
        run.describe(card, "model_card.md")
        version = versions.register(name, uri, run.run_id, {**tags, **lineage.code_state()}, card)
        bar.update()
    return version


def _next(bar: Any, what: str) -> None:
    bar.update()
    bar.set_description(what)
