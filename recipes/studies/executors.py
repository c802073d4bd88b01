"""Where a study's cells run: processes on this machine, or the workers of a Ray cluster.

An executor takes tasks and yields the result of each in the order in which they end. A task that fails, or kills its
process, stops no other.
"""

import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import connection, get_context
from queue import SimpleQueue
from threading import Event, Thread
from types import ModuleType
from typing import Any

from data.child_process import end
from data.errors import UserError
from data.processes import ROOT, python_path
from recipes.studies.cell import CellResult, Task, run_cell

#: The module that the fork server imports once, by name; workers are forked from it, which saves seconds each.
PRELOADED = "recipes.studies.worker_imports"
TaskFunction = Callable[[Task], CellResult]
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
#: Files that are not sent to a Ray cluster.
EXCLUDED = [".git", ".venv", "tests", "docs", "benchmarks", "outputs", "mlruns", "mlartifacts", "*.db"]


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))


def warm(jobs: int) -> None:
    """Start the fork server, which imports what workers need while this process does something else."""
    from multiprocessing import forkserver

    for name in THREADS:
        os.environ.setdefault(name, str(max(1, cores() // jobs)))
    known = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if str(ROOT) not in known:  # the fork server doesn't take over sys.path
        os.environ["PYTHONPATH"] = python_path()
    get_context("forkserver").set_forkserver_preload([PRELOADED])
    forkserver.ensure_running()


class _Worker:
    """A process that runs one task after the other, and ends with the process that started it."""

    def __init__(self, context: Any, function: TaskFunction) -> None:
        self.pipe, remote = context.Pipe()
        self.process = context.Process(target=_serve, args=(remote, function), daemon=True)
        self.process.start()
        remote.close()  # only the worker keeps its end, so that its death closes the pipe
        self.task: Task | None = None

    def send(self, task: Task) -> None:
        self.task = task
        self.pipe.send(task)

    def end(self) -> None:
        """End the process: at once in mid-cell, as where the study is stopped; an idle one ends by itself."""
        self.pipe.close()
        end(self.process, by_itself=not self.task)

    def receive(self) -> CellResult:
        """The result of the task, or the error that the process died."""
        assert self.task
        cell, self.task = self.task.cell, None
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            return CellResult(cell.name, cell.digest, "", f"its process died (exit code {self.process.exitcode})")


def run_local(tasks: Sequence[Task], jobs: int, function: TaskFunction = run_cell) -> Iterator[CellResult]:
    """Run the tasks by ``function`` in ``jobs`` processes on this machine."""
    warm(jobs)
    context = get_context("forkserver")
    waiting, workers = deque(tasks), []
    try:
        for _ in range(min(jobs, len(waiting))):
            workers.append(_Worker(context, function))
            workers[-1].send(waiting.popleft())
        while busy := {worker.pipe: worker for worker in workers if worker.task}:
            for pipe in connection.wait(list(busy)):
                worker = busy[pipe]  # type: ignore[index]
                result = worker.receive()
                if worker.process.exitcode is not None:
                    workers.remove(worker)
                    worker = _Worker(context, function)
                    workers.append(worker)
                if waiting:
                    worker.send(waiting.popleft())
                yield result
    finally:
        for worker in workers:
            worker.end()


def _serve(pipe: Any, function: TaskFunction) -> None:
    """Run tasks until the pipe closes, which happens also when the study is killed: no worker outlives it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the study handles Ctrl-C
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    tasks: SimpleQueue[Task | None] = SimpleQueue()
    is_busy = Event()

    def listen() -> None:
        while True:
            try:
                task = pipe.recv()
            except (EOFError, OSError):
                if is_busy.is_set():
                    os._exit(1)
                task = None
            if task:
                is_busy.set()
            tasks.put(task)
            if not task:
                return

    Thread(target=listen, daemon=True).start()
    while task := tasks.get():
        result = function(task)
        is_busy.clear()  # before the result is known, after which another task may come
        pipe.send(result)


def run_ray(tasks: Sequence[Task], jobs: int, address: str = "", retries: int = 3) -> Iterator[CellResult]:
    """Run the tasks on a Ray cluster; those of a machine that dies are restarted elsewhere, ``retries`` times.

    Without an address Ray is started on this machine with ``jobs`` cores. With one, the project's files are sent to the
    cluster; its machines need the same packages, and access to the data and the tracking store.

    Raises:
        UserError: Ray is not installed, or the cluster doesn't answer.
    """
    ray = require_ray()
    try:
        ray.init(**_cluster_settings(jobs, address))
    except (ConnectionError, ValueError, RuntimeError) as error:
        where = f"ray_address={address}" if address else "engine=ray"
        raise UserError(f"{where}: Ray can't be used there: {str(error).splitlines()[0]}") from error
    try:
        yield from _run_on_cluster(ray, tasks, retries)
    finally:
        ray.shutdown()


def _cluster_settings(jobs: int, address: str) -> dict[str, Any]:
    quiet = {"log_to_driver": False, "logging_level": "error"}
    if address:
        environment = {"working_dir": str(ROOT), "excludes": EXCLUDED}
        return {"address": address, "runtime_env": environment, "include_dashboard": None, **quiet}
    environment = {"env_vars": {"PYTHONPATH": python_path()}}
    return {"address": "local", "num_cpus": jobs, "runtime_env": environment, "include_dashboard": False, **quiet}


def _run_on_cluster(ray: Any, tasks: Sequence[Task], retries: int) -> Iterator[CellResult]:
    remote = ray.remote(num_cpus=1, max_retries=retries)(run_cell)
    pending = {remote.remote(task): task for task in tasks}
    while pending:
        for done in ray.wait(list(pending), num_returns=1)[0]:
            cell = pending.pop(done).cell
            try:
                yield ray.get(done)
            except ray.exceptions.RayError as error:
                reason = str(error).strip().splitlines()[0]
                yield CellResult(cell.name, cell.digest, "", f"Ray gave it up: {reason}")


def require_ray() -> ModuleType:
    """The module ``ray``, without its usage reports.

    Raises:
        UserError: it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError:
        raise UserError("engine=ray needs Ray: pip install -r requirements-ray.txt (or take engine=local)") from None
    return ray
