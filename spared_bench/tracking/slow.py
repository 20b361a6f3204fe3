"""A tracking server that keeps a command waiting: it is said, once."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS_UNTOLD = 10.0
_told: set[str] = set()


@contextmanager
def told_if_slow(where: str) -> Iterator[None]:
    """Say on standard error for whom a command waits, if it does for long.

    Parameters
    ----------
    where : str
        The server's address, without a password.
    """
    watch = threading.Timer(SECONDS_UNTOLD, _tell, [where])
    watch.daemon = True
    watch.start()
    try:
        yield
    finally:
        watch.cancel()


def _tell(where: str) -> None:
    if where not in _told:  # a server that is slow stays so
        _told.add(where)
        print(
            f"Waiting for MLflow at {where}. Results are in the store: who interrupts this loses"
            " none, and `spared-bench track sync` logs them later.",
            file=sys.stderr,
        )
