"""Sixty short reviews that cells of a study learn in a moment, and work for engines that takes no time at all."""

import csv
import os
import random

from data.errors import UserError
from recipes.studies.cell import CellResult, Task
from recipes.studies.config import StudyConfig
from recipes.studies.grid import cells

GOOD = "lovely warm clever bright moving funny tender superb".split()
HELD = []
BAD = "dull flat clumsy boring cold stale noisy awful".split()


def write_rows(folder):
    """Settings of a study of files of its own: 60 training rows, 40 test rows."""
    draw = random.Random(3)
    for name, n in (("rows.csv", 60), ("tests.csv", 40)):
        with (folder / name).open("w", newline="") as out:
            table = csv.writer(out)
            table.writerow(["text", "label"])
            for i in range(n):
                twice, other = draw.choices((BAD, GOOD)[i % 2], k=2), draw.choice(GOOD + BAD)
                table.writerow([f"{name[:-4]} film {i} was {twice[0]} and {twice[1]}, at times {other}", i % 2])
    files = {"dataset": str(folder / "rows.csv"), "test_dataset": str(folder / "tests.csv")}
    return {**files, "n_train": 0, "n_test": 0, "folds": 1, "kinds": "symmetric", "rates": "0.3"}


def tasks(folder, n=4):
    """Tasks whose cells have seeds 1 to ``n``."""
    grid = cells(StudyConfig(kinds="symmetric", rates="0", seeds=",".join(map(str, range(1, n + 1)))))
    return [Task(cell, "", str(folder), str(folder), {}) for cell in grid]


def quick_work(task):
    """Note that the task was begun, and die of seed 2."""
    seed = task.cell.config.seed
    with open(os.path.join(task.folder, f"begun-{seed}-{os.getpid()}"), "x"):
        pass
    if seed == 2:
        os._exit(9)
    return CellResult(task.cell.name, task.cell.digest, f"run-{seed}")


def slow_work(task):
    """Never end."""
    import time

    quick_work(task)
    time.sleep(600)
    raise UserError("no test waits so long")


def slow_end(task):
    """Hold a semaphore of the system, as progress bars do, until the process ends, which takes a while."""
    import time
    from multiprocessing import get_context, util

    HELD.append(get_context("spawn").Lock())
    util.Finalize(None, time.sleep, (0.3,), exitpriority=100)
    return quick_work(task)


def seed_of(ended):
    """The seed in the name of what ended."""
    return int(ended.name.rpartition("seed=")[2])
