"""CPU threads of a process. They are part of the plan: a sum depends on their number."""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from typing import Any


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))(0))


@lru_cache(maxsize=1)
def _pools(n_modules: int) -> Any:
    """Find the thread pools that are loaded; again, which takes 10 ms, after further imports."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def use_threads(number: int) -> None:
    """Set the CPU threads of this process, for libraries that are loaded and yet to be."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(number)
    if "numpy" in sys.modules:  # it has read these variables before
        _pools(len(sys.modules)).limit(limits=number)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(number)
