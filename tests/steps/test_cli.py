"""What every step does at its edge: narrow terminals, and environments without the requirements."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from data.processes import OBJECTS_PER_COLLECTION
from tests.processes import wait_until

ROOT = Path(__file__).parents[2]


def run_step(body: str, **env: str) -> "subprocess.CompletedProcess[bytes]":
    code = f"from steps.cli import main; main(lambda argv: {body})"
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, **env}, capture_output=True, timeout=300
    )


def test_the_garbage_collector_starts_rarely_in_every_step_until_it_has_started_to_serve():
    assert int(run_step("print(__import__('gc').get_threshold()[0])").stdout) == OBJECTS_PER_COLLECTION
    start = "[p := __import__('data.processes').processes, p.collect_as_usual()]"
    assert int(run_step(f"({start}, print(__import__('gc').get_threshold()[0]))").stdout) < 10_000


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_a_terminal_without_a_text_s_characters_gets_replacement_signs(encoding):
    done = run_step("print('\\u0928\\u093e caf\\xe9 \\ud83d')", PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr
    shown = {"cp1252": "?? caf\xe9 ?", "ascii": "?? caf? ?", "utf-8": "\u0928\u093e caf\xe9 ?"}[encoding]
    assert done.stdout.decode(encoding).strip() == shown


def test_places_with_letters_that_the_locale_does_not_know_are_one_line():
    done = run_step("print('trained')", LC_ALL="C", PYTHONUTF8="0", PARLEY_OUTPUTS="/tmp/\u00fcbung")
    [line] = done.stderr.decode().strip().splitlines()
    assert done.returncode == 1 and not done.stdout
    assert line.startswith("PARLEY_OUTPUTS '/tmp/") and line.endswith("set PYTHONUTF8=1")


def test_a_package_that_is_missing_is_one_line_that_names_the_environment():
    done = run_step("__import__('torch_that_is_not_here')")
    [line] = done.stderr.decode().strip().splitlines()
    assert done.returncode == 1
    assert sys.executable in line and "'torch_that_is_not_here'" in line and ".venv" in line and "make" in line


def test_a_package_that_is_missing_leaves_no_run_of_mlflow_run(store):
    client = MlflowClient(store)
    run_id = client.create_run("0").info.run_id
    client.set_terminated(run_id, "FAILED")  # as mlflow run does
    assert run_step("__import__('torch_that_is_not_here')", MLFLOW_RUN_ID=run_id).returncode == 1
    wait_until(lambda: client.get_run(run_id).info.lifecycle_stage == "deleted", "the removal of the run")


def test_a_python_that_is_too_old_is_one_line_that_names_the_environment():
    code = "import sys; sys.version_info = (3, 9); import steps"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, timeout=300)
    [line] = done.stderr.decode().strip().splitlines()
    assert done.returncode == 1 and "Python 3.11" in line and ".venv" in line


def test_a_missing_module_of_our_own_is_a_fault_and_not_the_environment_s():
    done = run_step("__import__('steps.nowhere')")
    assert done.returncode == 1 and b"Traceback" in done.stderr


IN_A_FINALIZER = """
import os, signal, time
from steps.cli import main
class Resource:
    def __del__(self):
        os.kill(os.getpid(), signal.{name})
        for _ in range(1000): pass
def step(argv):
    try:
        Resource()
        time.sleep(60)
    finally:
        print("cleaned up", flush=True)
main(step)
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_that_comes_within_a_finalizer_stops_the_step_all_the_same(name):
    code = IN_A_FINALIZER.format(name=name)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (130, "cleaned up\n", "")
