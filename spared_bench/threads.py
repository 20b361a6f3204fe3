"""CPU threads of a process. They are part of the plan: a sum depends on their number."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
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


#: What numerical libraries read when they are loaded.
_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def use_threads(number: int) -> None:
    """Set the CPU threads of this process, for libraries that are loaded and yet to be."""
    for name in _VARIABLES:
        os.environ[name] = str(number)
    if "numpy" in sys.modules:  # it has read these variables before
        _pools(len(sys.modules)).limit(limits=number)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(number)


def remember_threads() -> Callable[[], None]:
    """Remember the CPU threads of this process; return what sets them as they are now.

    Libraries that are loaded in between get what they would have taken by themselves: what the
    environment says, else one for each usable core.
    """
    told = {name: os.environ.get(name) for name in _VARIABLES}
    by_itself = told["OMP_NUM_THREADS"] or ""
    number = int(by_itself) if by_itself.isdecimal() and int(by_itself) else usable_cores()
    loaded = {pool.filepath: pool.num_threads for pool in _loaded()}
    of_torch = sys.modules["torch"].get_num_threads() if "torch" in sys.modules else number

    def set_back() -> None:
        for name, value in told.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        for pool in _loaded():
            pool.set_num_threads(loaded.get(pool.filepath, number))
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(of_torch)

    return set_back


def _loaded() -> list[Any]:
    return _pools(len(sys.modules)).lib_controllers if "numpy" in sys.modules else []
