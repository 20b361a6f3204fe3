"""What a job finds in its process, whatever methods of other jobs have left there.

A worker does many jobs. What one method sets for a whole process (a folder, threads, a signal's
handler, a default of torch) must not reach the next one; ``--isolate`` keeps all else apart, too.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from spared_bench.guard import guarded
from spared_bench.memory import give_back_memory, keep_freed_memory
from spared_bench.processing.kept_code import room_for_others
from spared_bench.threads import use_threads


@contextmanager
def clean_slate(threads: int) -> Iterator[None]:
    """Give a job the state that every job begins with, and take back what it changes and holds.

    Parameters
    ----------
    threads : int
        CPU threads of a job.
    """
    use_threads(threads)
    keep_freed_memory()
    _reset_torch()
    room_for_others()
    try:
        with guarded(), np.errstate(), warnings.catch_warnings():
            yield
    finally:
        give_back_memory()


def _reset_torch() -> None:
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_grad_enabled(True)
        torch.set_default_dtype(torch.float32)
        if torch.are_deterministic_algorithms_enabled():  # else it imports torch's compiler: 1.5 s
            torch.use_deterministic_algorithms(False)
