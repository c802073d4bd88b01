"""A terminal gets a bar that is redrawn; a log gets lines without control characters."""

import io
import os
import pty
import re
import sys
from typing import TextIO

import pytest

from data import progress


class Terminal(io.StringIO):
    """A stream that can be redrawn."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def written(monkeypatch):
    """``written(stream)``: what three steps and a change of the description write to ``stream`` as stderr."""
    monkeypatch.setattr(progress, "SHOWN_AFTER_S", 0.0)
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.0)

    def write(stream: TextIO) -> str:
        monkeypatch.setattr(sys, "stderr", stream)
        with progress.progress_bar(5, "training", "step", done=2) as bar:
            for _ in range(2):
                bar.update()
            bar.set_description("registering")
            bar.update()
        list(progress.bar_over(range(2), "reading files"))
        return stream.getvalue() if isinstance(stream, io.StringIO) else ""

    return write


def test_a_log_gets_lines_with_the_time_left_and_no_control_characters(written):
    lines = written(io.StringIO()).splitlines()
    assert not re.search(r"[\x00-\x1f\x7f#]", "".join(lines))
    assert [re.findall(r"^.*?(?= \[)", line)[0] for line in lines if not line.startswith("reading")] == [
        "training:  40% 2/5", "training:  60% 3/5", "training:  80% 4/5", "registering: 100% 5/5"
    ]  # fmt: skip
    assert all(re.search(r"\[\d\d:\d\d<", line) for line in lines) and all(map(progress.is_progress, lines))


def test_a_terminal_gets_one_bar_that_is_redrawn(written):
    text = written(Terminal())
    assert "|####" in text and text.count("\r") > text.count("\n") == 2
    assert all(map(progress.is_progress, filter(str.strip, text.replace("\r", "\n").splitlines())))


def test_a_terminal_without_a_size_gets_a_bar_too(written, monkeypatch):
    ours, theirs = pty.openpty()
    monkeypatch.setattr(sys, "__stdout__", os.fdopen(theirs, "w"))
    monkeypatch.delenv("COLUMNS", raising=False)
    written(sys.__stdout__)
    assert b"training:  40%|" in os.read(ours, 4096)
    os.close(ours)


def test_work_of_seconds_leaves_nothing_in_a_log(monkeypatch):
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    assert list(progress.bar_over(range(3), "reading files")) == [0, 1, 2]
    with progress.progress_bar(3, "logging the model", "step") as bar:
        bar.set_description("registering")
    assert not log.getvalue()


def test_lines_that_steps_print_are_no_progress():
    printed = ["Trained   bundled + lora on 250 rows, 29,600 trained tokens in 47 s (632/s)", "2/5 claims [undecided]"]
    assert not any(map(progress.is_progress, printed))
