"""No visitor sees a stack trace: what a user can mend is one line on the page, the rest is in the server's log."""

import functools
import inspect
import sys
import traceback
from collections.abc import Callable
from typing import Any

import gradio as gr

from data.errors import UserError
from demo.view import render
from demo.view.html import Markup

ODD = "Something went wrong here; the server's own log says what. The rest of the page still works."


def guarded(work: Callable[..., Any], outputs: int) -> Callable[..., Any]:
    """An event's ``work`` of ``outputs`` values whose first is a notice: its errors become that notice."""

    def caught(error: Exception) -> list[Any]:
        line = render.trouble(error) if isinstance(error, UserError) else unforeseen(error)
        return [line, *[gr.skip()] * (outputs - 1)]

    @functools.wraps(work)
    def whole(*values: Any) -> Any:
        try:
            return work(*values)
        except Exception as error:
            return caught(error)

    @functools.wraps(work)
    def streamed(*values: Any) -> Any:
        try:
            yield from work(*values)
        except Exception as error:
            yield caught(error)

    return streamed if inspect.isgeneratorfunction(work) else whole


def unforeseen(error: Exception) -> Markup:
    """Write ``error`` to the log; returns what the visitor reads."""
    traceback.print_exception(error, file=sys.stderr)
    return render.notice("error", ODD)
