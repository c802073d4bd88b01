"""A generator in a process of its own, which ends by itself where it can."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from data.errors import UserError
from recipes.export.own_process import in_own_process

ROOT = Path(__file__).resolve().parents[3]
HELD = []


def lines(last):
    """Holds a semaphore of the system, as progress bars do, until its process ends, which takes a while."""
    from multiprocessing import get_context, util

    util.Finalize(None, time.sleep, (0.3,), exitpriority=100)
    HELD.append(get_context("spawn").Lock())
    yield "held"
    if isinstance(last, Exception):
        raise last
    return last


def main(last):
    found = in_own_process(lines, eval(last))
    try:
        while True:
            next(found)
    except (StopIteration, UserError) as end:
        print("ended with", end)


@pytest.mark.parametrize(("last", "printed"), [("3", "3"), ("UserError('no room')", "no room")])
def test_a_process_with_nothing_more_to_do_is_not_killed(last, printed):
    code = f"from tests.recipes.export.test_own_process import main; main({last!r})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.stdout.strip(), done.stderr) == (f"ended with {printed}", "")
