"""Workers that stand stopped when their parent is gone: they read no end of their input."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from pathlib import Path

from spared_bench.store.processes import is_orphan, stamp

#: Says in the environment of a worker, and of all that it begins, whose it is.
OWNER = "SPARED_BENCH_WORKER_OF"


def owner() -> str:
    """Return what says that a worker is this process's."""
    return _named(os.getpid())


@cache
def _named(pid: int) -> str:
    return f"worker.{stamp()}"


def end_left_behind() -> None:
    """Kill the workers on this machine that are stopped and whose parent has ended.

    They would hold their memory, and a GPU, until somebody lets them go on.
    """
    import psutil

    for process in psutil.process_iter():
        with suppress(psutil.Error):
            stands = process.status() == psutil.STATUS_STOPPED
            if stands and is_orphan(Path(process.environ().get(OWNER, ""))):
                process.kill()
