"""Where the weights of a model are on this machine: plain values that go from one process to another."""

from dataclasses import dataclass
from pathlib import Path

from inference.transcript import ModelInfo

#: What the name of a base begins with that is itself a registered version: ``models:/pirate/3``.
REGISTERED = "models:/"
#: What an adapter's scale may be: 0 is the base, 1 the adapter as it was trained.
LOWEST_SCALE, HIGHEST_SCALE = -1.0, 3.0


@dataclass(frozen=True)
class ModelLocation:
    """The files of a model, found and checked.

    ``folder``: its own weights (an adapter's, or a whole model's); None for a remote model. ``base``: folder of the
    model that is loaded, the same where the weights are whole. ``tokenizer``: folder of its tokenizer. ``template``:
    Jinja source of its chat template, empty for the tokenizer's own. ``stop_token_ids``: the tokens that its version
    names as ends of an answer. ``remote``: model id and address of a remote one. ``load``: how the weights of ``base``
    are held: ``fp32``, ``bf16``, ``4bit``, or ``auto``, see ``precision.choose``.
    ``scale``: factor of the adapter, 1 as it was trained.
    """

    info: ModelInfo
    folder: Path | None = None
    base: Path | None = None
    tokenizer: Path | None = None
    template: str = ""
    remote: tuple[str, str] | None = None
    stop_token_ids: frozenset[int] = frozenset()
    load: str = "fp32"
    scale: float = 1.0


@dataclass(frozen=True)
class UnavailableModel:
    """A reference whose model can't be loaded, and one line with the reason."""

    reference: str
    error: str
