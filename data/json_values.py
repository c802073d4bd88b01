"""Values as JSON can hold them."""

import math
from typing import Any


def finite(value: Any) -> Any:
    """``value`` with None for every number that is not finite, in dicts, lists and tuples (which become lists) too."""
    if isinstance(value, dict):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
