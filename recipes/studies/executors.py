"""Where a study's cells run: processes on this machine, or the workers of a Ray cluster.

An engine takes tasks and yields what became of each, in the order in which they end. One task that goes wrong, or
takes its process with it, stops no other.
"""

import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module, util
from multiprocessing import connection, get_context
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

from data.errors import UserError
from recipes.studies.cell import Ended, Task, carry_out

ROOT = Path(__file__).resolve().parents[2]
#: Imported once for all workers, which are then copies of that process: importing takes seconds.
PRELOADED = "recipes.studies.worker_imports"
Work = Callable[[Task], Ended]
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))


def warm(jobs: int) -> None:
    """Begin to import what workers need, in a process of its own, while this one does something else."""
    from multiprocessing import forkserver

    for name in THREADS:
        os.environ.setdefault(name, str(max(1, cores() // jobs)))
    path = os.environ.get("PYTHONPATH", "")
    if str(ROOT) not in path.split(os.pathsep):  # the fork server doesn't take over sys.path
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), path]))
    get_context("forkserver").set_forkserver_preload([PRELOADED])
    forkserver.ensure_running()


class _Worker:
    """A process that does one task after the other, and ends with the process that started it."""

    def __init__(self, context: Any, work: Work) -> None:
        self.line, far = context.Pipe()
        self.process = context.Process(target=_serve, args=(far, work), daemon=True)
        self.process.start()
        far.close()  # only the worker's own end is left, so that its death is seen here
        self.task: Task | None = None

    def give(self, task: Task) -> None:
        self.task = task
        self.line.send(task)

    def take(self) -> Ended:
        assert self.task
        task, self.task = self.task, None
        try:
            return self.line.recv()
        except (EOFError, OSError):
            self.process.join()
            return Ended(task.cell.name, task.cell.digest, "", f"its process died (exit code {self.process.exitcode})")


def run_local(tasks: Sequence[Task], jobs: int, work: Work = carry_out) -> Iterator[Ended]:
    """Do the tasks in ``jobs`` processes on this machine; ``work`` is what is done with each."""
    warm(jobs)
    context = get_context("forkserver")
    waiting, workers = deque(tasks), []
    try:
        for _ in range(min(jobs, len(waiting))):
            workers.append(_Worker(context, work))
            workers[-1].give(waiting.popleft())
        while busy := {worker.line: worker for worker in workers if worker.task}:
            for line in connection.wait(list(busy)):
                worker = busy[line]  # type: ignore[index]
                ended = worker.take()
                if worker.process.exitcode is not None:
                    workers.remove(worker)
                    worker = _Worker(context, work)
                    workers.append(worker)
                if waiting:
                    worker.give(waiting.popleft())
                yield ended
    finally:
        for worker in workers:
            worker.process.kill()  # mid-cell only where the study itself is stopped; idle otherwise
            worker.process.join()


def _serve(line: Any, work: Work) -> None:
    """Do tasks until the line is cut, which happens too when the study is killed: nothing is left running then."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the study's business
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    tasks: SimpleQueue[Task] = SimpleQueue()

    def listen() -> None:
        while True:
            try:
                tasks.put(line.recv())
            except (EOFError, OSError):
                os._exit(1)

    Thread(target=listen, daemon=True).start()
    while True:
        line.send(work(tasks.get()))


def run_ray(tasks: Sequence[Task], jobs: int, address: str = "", retries: int = 3) -> Iterator[Ended]:
    """Do the tasks on a Ray cluster; those of a machine that dies are begun anew elsewhere, ``retries`` times.

    Without an address Ray is started on this machine with ``jobs`` cores. With one, the project's files travel to
    the cluster; its machines need the same packages, and the data and the tracking store within their reach.

    Raises:
        UserError: Ray is not installed, or the cluster doesn't answer.
    """
    ray = require_ray()
    here = {"env_vars": {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}}
    left_out = [".git", ".venv", "tests", "docs", "benchmarks", "outputs", "mlruns", "mlartifacts", "*.db"]
    there = {"working_dir": str(ROOT), "excludes": left_out}
    quiet = {"log_to_driver": False, "logging_level": "error", "include_dashboard": None}
    try:
        if address:
            ray.init(address=address, runtime_env=there, **quiet)
        else:
            ray.init(address="local", num_cpus=jobs, runtime_env=here, **{**quiet, "include_dashboard": False})
    except (ConnectionError, ValueError, RuntimeError) as error:
        where = f"ray_address={address}" if address else "engine=ray"
        raise UserError(f"{where}: Ray can't be used there: {str(error).splitlines()[0]}") from error
    try:
        yield from _through_ray(ray, tasks, retries)
    finally:
        ray.shutdown()


def _through_ray(ray: Any, tasks: Sequence[Task], retries: int) -> Iterator[Ended]:
    work = ray.remote(num_cpus=1, max_retries=retries)(carry_out)
    pending = {work.remote(task): task for task in tasks}
    while pending:
        for done in ray.wait(list(pending), num_returns=1)[0]:
            cell = pending.pop(done).cell
            try:
                yield ray.get(done)
            except ray.exceptions.RayError as error:
                yield Ended(cell.name, cell.digest, "", f"Ray gave it up: {str(error).strip().splitlines()[0]}")


def require_ray() -> Any:
    """Ray itself.

    Raises:
        UserError: it is not installed.
    """
    if util.find_spec("ray") is None:
        raise UserError("engine=ray needs Ray: pip install -r requirements-ray.txt (or take engine=local)")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report home
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    return import_module("ray")
