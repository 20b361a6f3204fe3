"""What is said while a completer keeps a command waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EVERY_SECONDS = 30.0


@contextmanager
def told_meanwhile(tell: Callable[[float], None]) -> Iterator[None]:
    """Tell now and then that something still goes on.

    Parameters
    ----------
    tell : callable
        Is called in another thread, every half minute, with the seconds since it began.
    """
    ended = threading.Event()
    begun = time.monotonic()

    def watch() -> None:
        while not ended.wait(EVERY_SECONDS):
            tell(time.monotonic() - begun)

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield
    finally:
        ended.set()
        watching.join()
