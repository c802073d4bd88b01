import os
import subprocess
import sys
from pathlib import Path

import pytest

from steps import openmp

BEFORE = "cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 100 0 50 800 50 0 0 0 0 0\n"


def test_idle_share_counts_idle_time_and_time_that_waited_for_a_disk() -> None:
    assert openmp.idle_share(BEFORE, "cpu  110 0 60 860 70 0 0 0 0 0\n") == pytest.approx(0.8)
    assert openmp.idle_share(BEFORE, "cpu  200 0 50 800 50 0 0 0 0 0\n") == 0
    assert openmp.idle_share(BEFORE, BEFORE) == 0


def test_a_system_without_counters_is_taken_for_a_busy_one(tmp_path: Path) -> None:
    assert openmp.measured_idle_share(0, tmp_path / "none") == 0


@pytest.mark.parametrize(("idle", "world", "given", "expected"), [
    (0.9, "1", None, "None"),  # an idle machine: OpenMP's own policy
    (0.5, "1", None, "PASSIVE"),  # other work on the cores
    (0.9, "2", None, "PASSIVE"),  # another process of the same training
    (0.9, "1", "ACTIVE", "ACTIVE"),  # whoever started it has decided
    (0.9, "1", "PASSIVE", "PASSIVE"),
])  # fmt: skip
def test_threads_spin_only_where_a_process_has_the_machine_for_itself(
    idle: float, world: str, given: str | None, expected: str
) -> None:
    code = (
        f"import os; from steps import openmp; openmp.measured_idle_share = lambda: {idle}; openmp.spin_if_idle(); "
        "print(os.environ.get('OMP_WAIT_POLICY'))"
    )
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"} | {"WORLD_SIZE": world}
    environment |= {"OMP_WAIT_POLICY": given} if given else {}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == expected
