"""Ctrl-C once: finish what runs, begin nothing new. Twice: stop now."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spared_bench.running.orchestrator import Orchestrator


@contextmanager
def stop_gently(
    orchestrator: Orchestrator, log: Callable[[str], None]
) -> Iterator[threading.Event]:
    """Let the first interrupt end a run after its running jobs, and the second one at once.

    Parameters
    ----------
    orchestrator : Orchestrator
    log : callable
        Told what happens now, and what a second interrupt does.

    Yields
    ------
    threading.Event
        Set once there was an interrupt. Outside the main thread, where no signal can be had, and
        where interrupts are ignored, they are as they were.
    """
    asked = threading.Event()
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN  # as in a shell's background job
    if ignored or threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def on_interrupt(*_: Any) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        running = orchestrator.stop()
        log(f"Stopping after the {running} running jobs; Ctrl-C again stops at once.")

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)
