"""What a client's script reports: one line a capability. Standard library only, for it runs beside any client."""

import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

#: Where the server is, its key, and the names of two models: the bundled base, and one that takes longer prompts.
BASE_URL, KEY = os.environ.get("OPENAI_BASE_URL", ""), os.environ.get("OPENAI_API_KEY", "")
MODEL, LARGER = "gpt-4o-mini", "gpt-4o"

_CHECKS: list[tuple[str, Callable[[], str | None]]] = []


def capability(name: str) -> Callable[[Callable[[], str | None]], Callable[[], str | None]]:
    """Register a check, which returns None where the capability works, else the words of a refusal."""

    def add(check: Callable[[], str | None]) -> Callable[[], str | None]:
        _CHECKS.append((name, check))
        return check

    return add


def refusal(call: Callable[[], Any]) -> str:
    """The words with which the server refuses ``call``; it must not break.

    Raises:
        AssertionError: the call was not refused, or ended in an error of the server's.
    """
    try:
        call()
    except Exception as error:
        status, body = getattr(error, "status_code", 0), getattr(error, "body", None)
        assert 400 <= status < 500, repr(error)
        return str(body["message"] if isinstance(body, dict) and "message" in body else error)
    raise AssertionError("it was not refused")


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
