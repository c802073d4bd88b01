"""OpenAI's hyperparameters, with numbers for ``auto``, and the settings of the training loop that they stand for."""

from collections.abc import Mapping
from typing import Any

from recipes.dpo.config import DpoConfig
from recipes.sft.config import TuneConfig

#: OpenAI's rule for n_epochs=auto: three epochs, unless fewer or more rows than these are trained on in all.
MIN_ROWS_SEEN, MAX_ROWS_SEEN, EPOCHS, MAX_EPOCHS = 100, 25_000, 3, 25
#: batch_size=auto: the default of the training loop, and for large files this share of the rows, up to a limit.
BATCH_SHARE, MAX_AUTO_BATCH = 0.002, 64
MAX_ROWS_PER_PASS = 32


def resolve(given: Mapping[str, Any], rows: int) -> dict[str, Any]:
    """The hyperparameters for a training file of ``rows`` rows: those ``given``, and numbers for ``auto`` or None.

    ``beta``, of the method dpo, is there where it is among those given, as a number or not.
    """
    numbers = {name: value for name, value in given.items() if value not in (None, "auto")}
    beta = {"beta": numbers.get("beta", DpoConfig.beta)} if "beta" in given else {}
    return {
        **beta,
        "n_epochs": numbers.get("n_epochs", _auto_epochs(rows)),
        "batch_size": numbers.get("batch_size", _auto_batch(rows)),
        "learning_rate_multiplier": numbers.get("learning_rate_multiplier", 1.0),
    }


def _auto_epochs(rows: int) -> int:
    if rows * EPOCHS < MIN_ROWS_SEEN:
        return min(MAX_EPOCHS, max(1, MIN_ROWS_SEEN // rows))
    if rows * EPOCHS > MAX_ROWS_SEEN:
        return max(1, MAX_ROWS_SEEN // rows)
    return EPOCHS


def _auto_batch(rows: int) -> int:
    return max(TuneConfig.batch_size, min(MAX_AUTO_BATCH, round(rows * BATCH_SHARE)))


def passes(batch_size: int) -> tuple[int, int]:
    """(rows of one forward pass, passes of one step): the gradients of a large batch are accumulated in parts."""
    per_pass = max(n for n in range(1, min(batch_size, MAX_ROWS_PER_PASS) + 1) if batch_size % n == 0)
    if per_pass * 4 < min(batch_size, MAX_ROWS_PER_PASS):  # it has no large divisor: one pass rather than very many
        return batch_size, 1
    return per_pass, batch_size // per_pass
