"""Where the weights of a voice lie on this machine: plain values that go from one process to another."""

from dataclasses import dataclass
from pathlib import Path

from inference.transcript import ModelInfo


@dataclass(frozen=True)
class ModelLocation:
    """What a voice is made of, found and checked.

    ``folder``: its own weights (an adapter's, or a whole model's); None for a remote model. ``base``: folder of the
    model that is loaded, the same where the weights are whole. ``tokenizer``: folder of its tokenizer. ``template``:
    Jinja source of its chat template, empty for the tokenizer's own. ``remote``: model id and address of a remote one.
    """

    voice: ModelInfo
    folder: Path | None = None
    base: Path | None = None
    tokenizer: Path | None = None
    template: str = ""
    remote: tuple[str, str] | None = None


@dataclass(frozen=True)
class UnavailableModel:
    """A reference whose voice can't be had, and the line that says why."""

    reference: str
    error: str
