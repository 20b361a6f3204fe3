"""Memory of a process: what its C library keeps of what was freed, and when it gives that back.

And when Python looks for circles of objects that nothing else refers to: not while lasting ones
are made by the million.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

# Of glibc's <malloc.h>.
_TRIM_THRESHOLD = -1
_MMAP_THRESHOLD = -3
_MMAP_MAX = -4
#: Smaller blocks are cut from the heap, and the heap keeps as much at its end, in bytes.
_KEPT = 1 << 30
_COUNTS = Path("/proc/vmstat")


def keep_freed_memory() -> bool:
    """Let freed blocks of up to 1 GiB be used again, rather than asked of the system anew.

    Every step of a training frees blocks of the same sizes as the step before. glibc hands those of
    more than 32 MiB back at once, and the system clears every page of what it gives instead: a
    quarter of the time of a step of ShuffleNet. What is computed stays the same. Does nothing
    with other C libraries.

    Returns
    -------
    bool
        Whether the C library took it.
    """
    library = _glibc()
    if library is None:
        return False
    # Where the threshold may not be so high (glibc before 2.35), no block is the system's own.
    cut = library.mallopt(_MMAP_THRESHOLD, _KEPT) or library.mallopt(_MMAP_MAX, 0)
    return bool(cut and library.mallopt(_TRIM_THRESHOLD, _KEPT))


def give_back_memory() -> None:
    """Give the system what was freed and kept; does nothing with other C libraries."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


def kills_for_want_of_memory() -> int:
    """Return how many processes the system has ended for want of memory since it was begun.

    Those of containers that reached their limit are among them. 0 where the system does not tell.
    """
    try:
        lines = _COUNTS.read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
    except (OSError, ValueError, StopIteration):
        return 0


@contextmanager
def uncollected() -> Iterator[Callable[[], None]]:
    """Make many lasting objects while Python looks for no circles of garbage.

    It would look at all objects that there are whenever there are a quarter more.

    Yields
    ------
    callable
        Lets Python look again, but only among objects that are made from then on: what is there by
        then is looked at again when the ``with`` ends.
    """
    enabled = gc.isenabled()

    def resume() -> None:
        gc.freeze()
        if enabled:
            gc.enable()

    gc.disable()
    try:
        yield resume
    finally:
        gc.unfreeze()
        if enabled:
            gc.enable()


def _glibc() -> ctypes.CDLL | None:
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    known = library is not None and hasattr(library, "mallopt") and hasattr(library, "malloc_trim")
    return library if known else None
