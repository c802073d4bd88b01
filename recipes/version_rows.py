"""The rows of the runs that made registered versions, read again."""

from collections.abc import Mapping
from typing import Any

from recipes.dpo import data as preferences
from recipes.dpo.config import DpoConfig
from recipes.sft import data
from recipes.sft.config import TuneConfig
from recipes.sft.data import Rows


def rows_of(params: Mapping[str, str]) -> Rows:
    """The rows of the fine-tuning run with these ``params``, read again.

    Raises:
        UserError: they can't be.
    """
    given: dict[str, Any] = {name: params.get(name, "") for name in ("dataset", "test_dataset")}
    if "beta" not in params:
        return data.load(TuneConfig(**given))
    chosen: dict[str, Any] = {name: params[name] for name in ("loss", "versions", "since", "pairs") if name in params}
    return preferences.load(DpoConfig(**given, **chosen))
