"""CPU threads of a process that is somebody else's, who has lent it for a run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from spared_bench.threads import usable_cores

#: What ``use_threads`` sets, and numerical libraries read when they are loaded.
_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


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
    """Return the thread pools of the libraries that are loaded now."""
    from threadpoolctl import ThreadpoolController

    return list(ThreadpoolController().lib_controllers) if "numpy" in sys.modules else []
