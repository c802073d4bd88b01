"""The entry points of ``MLproject``."""

import logging
import sys

if sys.version_info < (3, 11):  # noqa: UP036 before a module is imported that such a Python can't read
    sys.exit(
        f"Parley needs Python 3.11 or newer, and {sys.executable} is {sys.version.split()[0]}: take the one in .venv, "
        "which `make` sets up (make pirate, .venv/bin/python -m steps.pirate, or .venv/bin before others on PATH)."
    )

from data.processes import collect_rarely  # noqa: E402 after the check: it may use what older Pythons lack
from steps.openmp import wait_asleep  # noqa: E402

collect_rarely()
wait_asleep()
# Where bitsandbytes is installed, PEFT imports it in every step, and it warns of an optional package.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
