"""The entry points of ``MLproject``."""

import logging
import os
import sys

if sys.version_info < (3, 11):  # noqa: UP036 before a module is imported that such a Python can't read
    sys.exit(
        f"Parley needs Python 3.11 or newer, and {sys.executable} is {sys.version.split()[0]}: take the one in .venv, "
        "which `make` sets up (make pirate, .venv/bin/python -m steps.pirate, or .venv/bin before others on PATH)."
    )

# Threads that wait for each other would otherwise spin, and with other work on the cores that costs a multiple of the
# time. OpenMP reads this when torch is imported, so it is set first; processes that are started inherit it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Where bitsandbytes is installed, PEFT imports it in every step, and it warns of an optional package.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
