"""The entry points of ``MLproject``."""

import os

# Threads that wait for each other would otherwise spin, and with other work on the cores that costs a multiple of the
# time. OpenMP reads this when torch is imported, so it is set first; processes that are started inherit it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
