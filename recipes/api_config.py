"""Settings of fine-tuning through an OpenAI-compatible API, for the recipes that can."""

import math
from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Any, Literal

from data.errors import require
from recipes.run_names import shown_name
from train.config import FitConfig, ModelConfig

#: What is fine-tuned at OpenAI where no model is named.
OPENAI_MODEL = "gpt-4o-mini-2024-07-18"


@dataclass(frozen=True)
class ApiConfig(ModelConfig):
    """Settings of a job at an API and of the requests to its models."""

    provider: Literal["local", "openai", "parley"] = "local"
    """Where it is trained: here; at OPENAI_BASE_URL (empty: OpenAI); or by a server that is started for the run."""
    model: str = ""
    """Openai, parley: model to fine-tune; empty is gpt-4o-mini-2024-07-18 and, on a server of our own, base_model."""
    hyperparameters: str = ""
    """Openai, parley: comma-separated name=value, such as batch_size=16; OpenAI's own are auto, others passed on."""
    slots: int = 16
    """Openai, parley: requests on their way at once, as far as the server's rate limits allow."""
    budget_usd: float = 0.0
    """Openai: the most that job and evaluation may cost by the estimate, in the table's currency; 0 sets no limit."""
    prices: str = ""
    """Openai: file with prices of your own, laid out like data/prices.json; empty takes that one."""
    dry_run: bool = False
    """Stop before anything is trained or sent, with what would be done in the run's dry_run.md."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(1 <= self.slots <= 1000, f"slots must be from 1 to 1000, not {self.slots}")
        budget = self.budget_usd
        require(
            math.isfinite(budget) and budget >= 0, f"budget_usd must be a finite number of at least 0, not {budget}"
        )
        self.given_hyperparameters()

    def given_hyperparameters(self) -> dict[str, Any]:
        """The value of ``hyperparameters`` by name: numbers and booleans as such, everything else as text.

        Raises:
            ConfigError: an item is no name=value, or a known one is out of its range.
        """
        found: dict[str, Any] = {}
        for item in filter(None, map(str.strip, self.hyperparameters.split(","))):
            name, equals, text = (part.strip() for part in item.partition("="))
            require(bool(equals and name and text), f"hyperparameters: {item!r} is no name=value")
            require(name not in found, f"hyperparameters names {name} twice")
            require(name != "n_epochs", "hyperparameters: n_epochs is called epochs here; give epochs instead")
            found[name] = _value(text)
        size, rate = found.get("batch_size", "auto"), found.get("learning_rate_multiplier", "auto")
        whole = isinstance(size, int) and not isinstance(size, bool) and 1 <= size <= 256
        require(size == "auto" or whole, f"hyperparameters: batch_size must be auto or from 1 to 256, not {size}")
        above = isinstance(rate, (int, float)) and not isinstance(rate, bool) and 0 < rate < math.inf
        require(
            rate == "auto" or above, f"hyperparameters: learning_rate_multiplier must be auto or above 0, not {rate}"
        )
        return found

    def refuse_local(self, local: Collection[str]) -> None:
        """Refuse settings that an API does not take: those of ``local``, and of the training loop and its model."""
        taken = ("epochs", "max_length", "seed", "threads", "resume")
        names = [f.name for f in fields(FitConfig) if f.name not in taken]
        names += ["base_model"] if self.provider == "openai" else []
        names += ["load", "rank", "alpha", "dropout", "targets", "keep", *local]
        given = [name for name in names if getattr(self, name) != getattr(type(self), name)]
        verb = "apply" if len(given) > 1 else "applies"
        require(
            not given,
            f"{', '.join(given)} only {verb} to provider=local; an API takes model, epochs and hyperparameters "
            "(batch_size and learning_rate_multiplier among them)",
        )

    def refuse_remote(self, remote: Collection[str] = ()) -> None:
        """Refuse settings that are for an API alone: ``remote``, and those of ``ApiConfig``."""
        own = ("model", "hyperparameters", "slots", "budget_usd", "prices", *remote)
        given = [name for name in own if getattr(self, name) != getattr(type(self), name)]
        require(not given, f"{', '.join(given)}: only for provider=openai or parley")

    @property
    def is_remote(self) -> bool:
        """Whether the model is trained and evaluated through an API."""
        return self.provider != "local"

    @property
    def remote_model(self) -> str:
        """The API's name of the model to fine-tune."""
        return self.model or {"openai": OPENAI_MODEL, "parley": shown_name(self.served_base)}.get(self.provider, "")

    @property
    def served_base(self) -> str:
        """The base model of a server that is started for the run; auto is bundled there."""
        return "bundled" if self.base_model == "auto" else self.base_model


def _value(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text
