"""What a client's script reports: one line a capability. Standard library only, for it runs beside any client."""

import os
import sys
import traceback
from collections.abc import Callable

#: Where the server is, its key, and the name of a model.
BASE_URL, KEY = os.environ.get("OPENAI_BASE_URL", ""), os.environ.get("OPENAI_API_KEY", "")
MODEL = "gpt-4o-mini"

_CHECKS: list[tuple[str, Callable[[], str | None]]] = []


def capability(name: str) -> Callable[[Callable[[], str | None]], Callable[[], str | None]]:
    """Register a check, which returns None where the capability works, else the words of a refusal."""

    def add(check: Callable[[], str | None]) -> Callable[[], str | None]:
        _CHECKS.append((name, check))
        return check

    return add


def run_all() -> None:
    """Run the checks in their order and print ``capability<TAB>state<TAB>words`` for each."""
    for name, check in _CHECKS:
        try:
            words = check()
            state, shown = ("refused", words) if words else ("works", "")
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            state, shown = "FAILS", f"{type(error).__name__}: {error}"
        print(f"{name}\t{state}\t{' '.join(shown.split())[:300]}", flush=True)
