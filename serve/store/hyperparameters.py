"""OpenAI's hyperparameters, and the trainer's own settings that they stand for."""

from collections.abc import Mapping
from typing import Any

from recipes.sft.config import TuneConfig

#: OpenAI's rule for n_epochs=auto: so many rows are seen in all, within so many epochs.
FEWEST_SEEN, MOST_SEEN, EPOCHS, MOST_EPOCHS = 100, 25_000, 3, 25
#: batch_size=auto: the trainer's own, and for large files this share of the rows, up to a limit.
BATCH_SHARE, MOST_AUTO_BATCH = 0.002, 64
ROWS_PER_PASS = 32


def resolve(asked: Mapping[str, Any], rows: int) -> dict[str, Any]:
    """The numbers in force for a file of ``rows`` rows; ``auto`` (or nothing) is replaced."""
    wanted = {name: value for name, value in asked.items() if value not in (None, "auto")}
    return {
        "n_epochs": wanted.get("n_epochs", _auto_epochs(rows)),
        "batch_size": wanted.get("batch_size", _auto_batch(rows)),
        "learning_rate_multiplier": wanted.get("learning_rate_multiplier", 1.0),
    }


def _auto_epochs(rows: int) -> int:
    if rows * EPOCHS < FEWEST_SEEN:
        return min(MOST_EPOCHS, max(1, FEWEST_SEEN // rows))
    if rows * EPOCHS > MOST_SEEN:
        return max(1, MOST_SEEN // rows)
    return EPOCHS


def _auto_batch(rows: int) -> int:
    return max(TuneConfig.batch_size, min(MOST_AUTO_BATCH, round(rows * BATCH_SHARE)))


def passes(batch_size: int) -> tuple[int, int]:
    """(rows of one forward pass, passes of one step): a large batch is summed up from parts that memory can hold."""
    per_pass = max(n for n in range(1, min(batch_size, ROWS_PER_PASS) + 1) if batch_size % n == 0)
    if per_pass * 4 < min(batch_size, ROWS_PER_PASS):  # it has no large divisor: one pass, rather than very many
        return batch_size, 1
    return per_pass, batch_size // per_pass
