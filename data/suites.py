"""The items of the bundled retention suites, as they stand in ``data/sets/suites``."""

import json
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "sets" / "suites"


@cache
def items(name: str) -> tuple[dict[str, Any], ...]:
    """The records of ``NAME.jsonl``, in file order."""
    text = (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8")
    return tuple(json.loads(line) for line in text.splitlines() if line)
