"""Errors of events: a UserError is one line on the page, any other error a line there and a stack trace in the log."""

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

INTERNAL_ERROR = "Something went wrong here; the server's log has the details. The rest of the page still works."


def guarded(work: Callable[..., Any], outputs: int) -> Callable[..., Any]:
    """``work`` with its errors turned into a notice.

    Args:
        work: an event handler, a function or a generator, that gives ``outputs`` values of which the first is a notice.
    """

    def caught(error: Exception) -> list[Any]:
        line = render.error_notice(error) if isinstance(error, UserError) else internal_error(error)
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


def internal_error(error: Exception) -> Markup:
    """Write ``error`` with its stack trace to the log; returns the line that the visitor reads."""
    traceback.print_exception(error, file=sys.stderr)
    return render.notice("error", INTERNAL_ERROR)
