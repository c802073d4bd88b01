"""A resume point is there as a whole or not at all, wherever the process dies; what is kept is kept, and no more."""

import json
import os
import resource
from pathlib import Path

import pytest
import torch

from data.errors import UserError
from train import resume
from train.resume import Progress, StateFolder

LOSSES = {0: 4.0, 3: 2.0, 6: 2.5}


class Killed(BaseException):
    """Stands for the end of the process."""


def point(step):
    """Progress, weights and optimizer at ``step``: every number of them depends on it."""
    history = [(s, loss) for s, loss in LOSSES.items() if s <= step]
    weights = {"a.weight": torch.full((2, 3), float(step)), "b.bias": torch.tensor([step, -0.5])}
    optimizer = {"a.weight|exp_avg": torch.full((2, 3), step + 0.25), "a.weight|step": torch.tensor(float(step))}
    return Progress(step, step * 10, history, step == 6), weights, optimizer


def save(folder, step, keep_all=False):
    torch.manual_seed(step)
    StateFolder(folder, keep_all).save(*point(step))


def assert_is_point(found, step):
    progress, weights, optimizer = found
    expected = point(step)
    assert progress == expected[0]
    torch.manual_seed(step)
    torch.testing.assert_close(weights, expected[1], rtol=0, atol=0)
    torch.testing.assert_close(optimizer, expected[2], rtol=0, atol=0)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_without_a_point_gives_none(tmp_path):
    assert StateFolder(tmp_path).load() is None
    assert StateFolder(tmp_path / "never made").load() is None


def test_a_point_comes_back_exactly_with_the_random_state(tmp_path):
    save(tmp_path / "new", 3)
    assert_is_point(StateFolder(tmp_path / "new").load(), 3)


def test_best_and_last_weights_are_kept_and_one_optimizer(tmp_path):
    for step in LOSSES:
        save(tmp_path, step)
    kept = ["latest.json", "optimizer-6.safetensors", "weights-3.safetensors", "weights-6.safetensors"]
    assert names(tmp_path) == kept
    assert_is_point(StateFolder(tmp_path).load(), 6)
    assert float(resume.load_file(StateFolder(tmp_path).weights_file(3))["b.bias"][0]) == 3


def test_one_file_of_weights_is_enough_while_the_last_is_the_best(tmp_path):
    save(tmp_path, 0)
    save(tmp_path, 3)
    assert names(tmp_path) == ["latest.json", "optimizer-3.safetensors", "weights-3.safetensors"]


def test_all_weights_but_the_untouched_ones_are_kept_where_asked_for_and_still_one_optimizer(tmp_path):
    for step in LOSSES:
        save(tmp_path, step, keep_all=True)
    kept = ["latest.json", "optimizer-6.safetensors", "weights-3.safetensors", "weights-6.safetensors"]
    assert names(tmp_path) == kept
    progress = Progress(9, 90, [*LOSSES.items(), (9, 1.5)])
    state_folder = StateFolder(tmp_path, keep_all=True)
    state_folder.save(progress, point(6)[1], point(6)[2])
    assert state_folder.kept(progress) == (3, 6, 9)
    assert StateFolder(tmp_path).kept(progress) == (9,)
    assert float(resume.load_file(state_folder.weights_file(3))["b.bias"][0]) == 3


def test_the_untouched_weights_are_kept_while_they_are_the_best(tmp_path):
    save(tmp_path, 0, keep_all=True)
    assert StateFolder(tmp_path, keep_all=True).kept(point(0)[0]) == (0,)
    worse = Progress(3, 30, [(0, 1.0), (3, 2.0), (6, 3.0)])
    assert StateFolder(tmp_path, keep_all=True).wanted(worse) == {0, 3, 6}


def test_weights_that_an_older_run_did_not_keep_are_not_promised(tmp_path):
    save(tmp_path, 3)
    save(tmp_path, 6)
    later = Progress(6, 60, [(0, 4.0), (2, 3.0), (3, 2.0), (6, 2.5)])
    assert StateFolder(tmp_path, keep_all=True).kept(later) == (3, 6)


def test_of_equal_losses_the_earliest_step_is_the_best():
    assert Progress(9, 0, [(0, 3.0), (3, 2.0), (6, 2.0), (9, 2.5)]).best_step == 3
    assert Progress(5).best_step == 5


def test_nothing_but_safetensors_and_json_is_written(tmp_path):
    for step in LOSSES:
        save(tmp_path, step)
        for path in tmp_path.iterdir():
            assert path.suffix in (".safetensors", ".json")
            if path.suffix == ".json":
                json.loads(path.read_text())
            else:
                resume.load_file(path)


def kill_at(monkeypatch, moment, after):
    """Die at file operation number ``moment`` (from 1): before it, or right after it.

    A write that dies after it was begun has written half. Returns a list that grows by the name of each operation.
    """
    done = []

    def watched(name, operation, tear=None):
        def run(*args, **kwargs):
            done.append(name)
            if len(done) == moment and not after:
                raise Killed
            result = operation(*args, **kwargs)
            if len(done) == moment:
                if tear:
                    tear(*args)
                raise Killed
            return result

        return run

    def halve(path):
        os.truncate(path, os.path.getsize(path) // 2)

    monkeypatch.setattr(resume, "save_file", watched("write", resume.save_file, lambda tensors, path: halve(path)))
    monkeypatch.setattr(Path, "write_text", watched("write", Path.write_text, lambda path, text: halve(path)))
    monkeypatch.setattr(os, "replace", watched("replace", os.replace))
    monkeypatch.setattr(Path, "unlink", watched("unlink", Path.unlink))
    return done


def operations(folder, monkeypatch):
    """The file operations of the third save."""
    with monkeypatch.context() as patch:
        save(folder, 0)
        save(folder, 3)
        done = kill_at(patch, -1, False)
        save(folder, 6)
    return done


@pytest.mark.parametrize("after", [False, True])
def test_a_process_killed_at_any_file_operation_leaves_a_whole_point(tmp_path, monkeypatch, after):
    done = operations(tmp_path / "whole", monkeypatch)
    assert {"write", "replace", "unlink"} == set(done) and len(done) >= 7
    turned = len(done) - done[::-1].index("replace")  # the last move is the pointer's: from there on the point is new
    for moment in range(1, len(done) + 1):
        folder = tmp_path / f"killed at {moment}"
        save(folder, 0)
        save(folder, 3)
        with monkeypatch.context() as patch, pytest.raises(Killed):
            kill_at(patch, moment, after)
            save(folder, 6)
        expected = 6 if moment > turned or (moment == turned and after) else 3
        assert_is_point(StateFolder(folder).load(), expected)
        best = resume.load_file(StateFolder(folder).weights_file(3))
        assert float(best["b.bias"][0]) == 3
        save(folder, 6)
        assert names(folder) == names(tmp_path / "whole")
        assert_is_point(StateFolder(folder).load(), 6)


@pytest.mark.parametrize("after", [False, True])
def test_a_process_killed_in_its_first_save_leaves_nothing_to_trip_over(tmp_path, monkeypatch, after):
    for moment in range(1, 6):
        folder = tmp_path / f"killed at {moment}"
        with monkeypatch.context() as patch, pytest.raises(Killed):
            kill_at(patch, moment, after)
            save(folder, 0)
        assert StateFolder(folder).load() is None
        save(folder, 0)
        assert_is_point(StateFolder(folder).load(), 0)


def test_a_full_disk_is_a_plain_error_and_leaves_the_point_before(tmp_path):
    save(tmp_path, 3)
    progress, weights, optimizer = point(6)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(UserError, match="step 6 can't be kept in .*make room"):
            StateFolder(tmp_path).save(progress, {"a.weight": torch.zeros(100, 100)}, optimizer)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert_is_point(StateFolder(tmp_path).load(), 3)
    assert names(tmp_path) == ["latest.json", "optimizer-3.safetensors", "weights-3.safetensors"]


def test_a_folder_that_can_not_be_made_is_a_plain_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="can't be kept"):
        save(tmp_path / "file" / "below", 0)
