"""How OpenMP's threads wait for each other: asleep, or spinning where nothing else wants the cores.

Spinning makes a training step 1.6 times as fast on an idle machine; with other work on the cores it costs a multiple of
the time (docs/log.md). OpenMP reads ``OMP_WAIT_POLICY`` when torch is imported; processes that are started inherit it.
"""

import os
import time
from pathlib import Path

POLICY = "OMP_WAIT_POLICY"
#: Threads spin where at least this share of the cores' time is idle when a training starts.
LEAST_IDLE = 0.8
_ours = False


def wait_asleep() -> None:
    """Let threads wait asleep in this process, unless the environment says what they do."""
    global _ours
    if POLICY not in os.environ:
        os.environ[POLICY], _ours = "PASSIVE", True


def spin_if_idle() -> None:
    """Let threads spin for OpenMP's own while if the machine is idle now and the environment did not say otherwise.

    For a process that works alone, before it imports torch.
    """
    if _ours and int(os.environ.get("WORLD_SIZE", "1")) == 1 and measured_idle_share() >= LEAST_IDLE:
        os.environ.pop(POLICY, None)


def measured_idle_share(seconds: float = 0.1, counters: Path = Path("/proc/stat")) -> float:
    """Share of all cores' time that was idle during ``seconds``, 0 to 1; 0 where the system does not count it."""
    try:
        before = counters.read_text()
        time.sleep(seconds)
        return idle_share(before, counters.read_text())
    except OSError:
        return 0.0


def idle_share(before: str, after: str) -> float:
    """Share of all cores' time that was idle or waited for a disk between two states of Linux's ``/proc/stat``."""
    first, last = ([int(word) for word in text.splitlines()[0].split()[1:9]] for text in (before, after))
    spent = [later - earlier for earlier, later in zip(first, last, strict=True)]
    return (spent[3] + spent[4]) / max(sum(spent), 1)
