"""What a fine-tuning job and its evaluation cost, by a dated table that a user can replace."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.errors import ConfigError

TABLE = Path(__file__).parent.parent / "data" / "prices.json"
KINDS = ("train", "input", "output")


@dataclass(frozen=True)
class Price:
    """Prices of one model per ``per`` tokens: training, and prompt and answer tokens of the tuned model."""

    model: str
    train: float
    input: float
    output: float
    currency: str
    per: int
    as_of: str

    def training(self, tokens: int) -> float:
        """The cost of ``tokens`` trained tokens (all tokens of all epochs)."""
        return self.train * tokens / self.per

    def evaluation(self, prompt_tokens: int, answer_tokens: int) -> float:
        """The cost of so many tokens of prompts and of answers."""
        return (self.input * prompt_tokens + self.output * answer_tokens) / self.per


def find(model: str, table: str = "") -> Price | None:
    """The price of ``model``, or of the longest name in the table that it begins with; None where there is none.

    ``table`` is the path of a table laid out like ``data/prices.json``; empty takes that one.

    Raises:
        ConfigError: the table can't be read or has no prices in it; the message names the flag ``prices``.
    """
    path = Path(table).expanduser() if table else TABLE
    try:
        prices = json.loads(path.read_text(encoding="utf-8"))
        known = {str(name): _checked(of_model) for name, of_model in prices["models"].items()}
        currency, per, as_of = str(prices["currency"]), int(prices["tokens"]), str(prices["as_of"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"prices={path}: it is no price table ({type(error).__name__}: {error}); lay it out like data/prices.json"
        ) from error
    if per < 1:
        raise ConfigError(f"prices={path}: tokens is the number of tokens that a price is for, not {per}")
    names = [name for name in known if model == name or model.startswith((name + "-", f"ft:{name}:", f"ft:{name}-"))]
    if not names:
        return None
    name = max(names, key=len)
    return Price(name, *known[name], currency, per, as_of)


def _checked(prices: dict[str, Any]) -> tuple[float, float, float]:
    values = [float(prices[kind]) for kind in KINDS]
    if not all(math.isfinite(price) and price >= 0 for price in values):
        raise ValueError(f"prices must be finite and at least 0, not {prices}")
    return values[0], values[1], values[2]
