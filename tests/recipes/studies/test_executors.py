"""Executors run each task once, whatever happens to the processes, and leave none behind."""

import os
import signal
import subprocess
import sys
from importlib import util

import pytest

from data.errors import UserError
from recipes.studies import executors
from tests.processes import ROOT, wait_until
from tests.study_rows import quick_work, seed_of, tasks


def begun(folder):
    """(seed, process) of each task that was begun."""
    return sorted(tuple(map(int, path.name.split("-")[1:])) for path in folder.glob("begun-*-*"))


def test_each_task_runs_once_and_one_that_kills_its_process_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(executors, "PRELOADED", "tests.study_rows")
    ended = list(executors.run_local(tasks(tmp_path), 2, quick_work))
    assert sorted(map(seed_of, ended)) == [1, 2, 3, 4]
    assert [seed for seed, _ in begun(tmp_path)] == [1, 2, 3, 4]
    died = next(each for each in ended if seed_of(each) == 2)
    assert (died.run_id, died.error) == ("", "its process died (exit code 9)")
    assert {each.run_id for each in ended if each is not died} == {"run-1", "run-3", "run-4"}


ENDED = """
import sys
from pathlib import Path
from tests.study_rows import slow_end, tasks
from recipes.studies import executors
executors.PRELOADED = "tests.study_rows"
print(len(list(executors.run_local(tasks(Path(sys.argv[1]), 1), 1, slow_end))))
"""


def test_an_idle_worker_ends_by_itself_and_leaves_nothing_at_the_system(tmp_path):
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", ENDED, str(tmp_path)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("1\n", "")


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


STUDY = """
import sys
from pathlib import Path
from tests.study_rows import slow_work, tasks
from recipes.studies import executors
executors.PRELOADED = "tests.study_rows"
list(executors.run_local(tasks(Path(sys.argv[1]), 1), 1, slow_work))
"""


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="needs /proc")
def test_a_killed_study_leaves_no_worker_behind(tmp_path):
    study = subprocess.Popen([sys.executable, "-c", STUDY, str(tmp_path)], env={**os.environ, "PYTHONPATH": str(ROOT)})
    (_, worker), *_ = wait_until(lambda: begun(tmp_path), "a task")
    assert is_running(worker)
    study.send_signal(signal.SIGKILL)
    study.wait()
    wait_until(lambda: not is_running(worker), "the end of the worker")


def test_the_module_that_workers_preload_exists():
    assert util.find_spec(executors.PRELOADED)


def test_without_ray_the_engine_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match="requirements-ray.txt"):
        executors.require_ray()
