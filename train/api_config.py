"""The settings that only matter where a model is trained and asked through an OpenAI-compatible API."""

import math
from dataclasses import dataclass
from typing import Any, Literal

from data.errors import ConfigError

#: What is fine-tuned where no model is named, by provider.
MODELS = {"openai": "gpt-4o-mini-2024-07-18", "parley": "bundled"}
#: Hyperparameters that OpenAI knows beside n_epochs, which is ``epochs`` here.
KNOWN = ("batch_size", "learning_rate_multiplier")
MOST_EPOCHS = 50


@dataclass(frozen=True)
class ApiConfig:
    """How a job is handed to an API, and how its models are asked."""

    model: str = ""
    """Openai, parley: model to fine-tune; empty is gpt-4o-mini-2024-07-18 and, on a server of our own, bundled."""
    hyperparameters: str = ""
    """Openai, parley: comma-separated name=value, such as batch_size=16; OpenAI's own are auto, others passed on."""
    mode: Literal["chat", "batch"] = "chat"
    """Openai, parley: how rows are asked: chat is at once, batch is the Batch API, at half the price within a day."""
    slots: int = 16
    """Openai, parley: requests on their way at once, as far as the server's rate limits allow."""
    n_memory: int = 200
    """Openai, parley: training rows that base, checkpoints and tuned model are asked too, for memory; 0 asks none."""
    budget_usd: float = 0.0
    """Openai: the most that job and evaluation may cost by the estimate, in the table's currency; 0 sets no limit."""
    prices: str = ""
    """Openai: file with prices of your own, laid out like data/prices.json; empty takes that one."""
    hidden_tokens: int = -1
    """Openai, parley: tokens that losses average in beside the label; -1 is 2 at OpenAI and 0 elsewhere."""
    dry_run: bool = False
    """Stop before anything is trained or sent, with what would be done in the run's dry_run.md."""

    def __post_init__(self) -> None:
        _require(1 <= self.slots <= 1000, f"slots must be from 1 to 1000, not {self.slots}")
        _require(self.n_memory >= 0, f"n_memory must be at least 0, not {self.n_memory}")
        _require(-1 <= self.hidden_tokens <= 10, f"hidden_tokens must be from -1 to 10, not {self.hidden_tokens}")
        budget = self.budget_usd
        _require(
            math.isfinite(budget) and budget >= 0, f"budget_usd must be a finite number of at least 0, not {budget}"
        )
        self.given_hyperparameters()

    def given_hyperparameters(self) -> dict[str, Any]:
        """What ``hyperparameters`` says: numbers and truth values as such, everything else as text.

        Raises:
            ConfigError: an item is no name=value, or a known one is out of its range.
        """
        found: dict[str, Any] = {}
        for item in filter(None, map(str.strip, self.hyperparameters.split(","))):
            name, equals, text = (part.strip() for part in item.partition("="))
            _require(bool(equals and name and text), f"hyperparameters: {item!r} is no name=value")
            _require(name not in found, f"hyperparameters names {name} twice")
            _require(name != "n_epochs", "hyperparameters: n_epochs is called epochs here; give epochs instead")
            found[name] = _value(text)
        size, rate = found.get("batch_size", "auto"), found.get("learning_rate_multiplier", "auto")
        whole = isinstance(size, int) and not isinstance(size, bool) and 1 <= size <= 256
        _require(size == "auto" or whole, f"hyperparameters: batch_size must be auto or from 1 to 256, not {size}")
        above = isinstance(rate, (int, float)) and not isinstance(rate, bool) and 0 < rate < math.inf
        _require(
            rate == "auto" or above, f"hyperparameters: learning_rate_multiplier must be auto or above 0, not {rate}"
        )
        return found


def _value(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def _require(true: bool, message: str) -> None:
    if not true:
        raise ConfigError(message)
