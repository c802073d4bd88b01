"""A base model in the cache is whole or not there, is made once, and a cache that can't be written is one line."""

import errno
import multiprocessing
import os
import time
from pathlib import Path

import pytest
from safetensors import SafetensorError

from data.errors import UserError
from train import base_cache


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PARLEY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_what_was_made_is_kept_and_made_no_second_time(cache):
    made = []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "weights").write_text("1")

    assert base_cache.keep("a", make) == base_cache.keep("a", make) == cache / "a"
    assert len(made) == 1 and (cache / "a" / "weights").read_text() == "1"


def test_what_fails_half_way_leaves_nothing_behind(cache):
    def fail(folder: Path) -> None:
        (folder / "half").write_text("1")
        raise UserError("it broke")

    with pytest.raises(UserError, match="it broke"):
        base_cache.keep("a", fail)
    assert not (cache / "a").exists() and [path.name for path in cache.iterdir()] == [".a.lock"]


def test_a_full_disk_is_one_line_that_names_the_setting(cache):
    def fill(folder: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(UserError, match=r"No space left on device\): name another folder in PARLEY_CACHE"):
        base_cache.keep("a", fill)


def test_a_full_disk_is_one_line_where_safetensors_meets_it_too(cache):
    def fill(folder: Path) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    with pytest.raises(UserError, match=r"No space left on device .*: name another folder in PARLEY_CACHE"):
        base_cache.keep("a", fill)
    assert not (cache / "a").exists()


def test_what_a_killed_process_left_behind_is_removed(cache):
    left = cache / ".a-x1y2z3"
    left.mkdir(parents=True)
    (left / "half").write_text("1")
    base_cache.keep("a", lambda folder: None)
    assert sorted(path.name for path in cache.iterdir()) == [".a.lock", "a"]


def test_a_cache_that_is_a_file_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PARLEY_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match="PARLEY_CACHE"):
        base_cache.keep("a", lambda folder: None)


def _keep(count: Path) -> None:
    def make(folder: Path) -> None:
        with count.open("a") as stream:
            stream.write("x")
        time.sleep(0.3)
        (folder / "weights").write_text("1")

    base_cache.keep("a", make)


def test_two_processes_that_begin_together_make_it_once(tmp_path, cache):
    context = multiprocessing.get_context("spawn")
    started = [context.Process(target=_keep, args=(tmp_path / "count",)) for _ in range(2)]
    for process in started:
        process.start()
    for process in started:
        process.join(300)
    assert [process.exitcode for process in started] == [0, 0]
    assert (tmp_path / "count").read_text() == "x" and (cache / "a" / "weights").is_file()
