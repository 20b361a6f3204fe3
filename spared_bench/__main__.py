"""The front door of the command: ``spared-bench`` and ``python -m spared_bench``."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from types import FrameType
from typing import Any

_end = os._exit  # which the command keeps from code of plugins


def main() -> None:
    """Run the command line, which can be interrupted while it is imported, and while it ends."""
    _have_streams()
    # A command draws to files. matplotlib ends while it is imported where a shell still names a
    # window that it no longer knows (`Qt4Agg`), and a plugin that opens one waits for somebody.
    os.environ["MPLBACKEND"] = "agg"
    handler = signal.getsignal(signal.SIGINT)
    # Else whoever began us lets us ignore it, or handles it in another thread.
    is_ours = handler is signal.default_int_handler
    is_ours = is_ours and threading.current_thread() is threading.main_thread()
    if is_ours:
        signal.signal(signal.SIGINT, _leave)
    from spared_bench.apart import hear_of_children
    from spared_bench.cli import main as run

    hear_of_children()
    if is_ours:
        signal.signal(signal.SIGINT, handler)
    try:
        run()
    except KeyboardInterrupt:  # one more, while the command was ending for the first
        _end(130)
    finally:
        if is_ours:
            signal.signal(signal.SIGINT, _leave_or_raise)


def _have_streams() -> None:
    """Open nothing where a standard stream is closed: the next file would take its number.

    Nor is one kept that cannot be written, as of a daemon that has ``/dev/null`` for all three,
    opened for reading. Wait where whoever began us lets nobody wait for a reader
    (``O_NONBLOCK``): what a pipe cannot hold at once would be an error.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            if not os.get_blocking(number):
                os.set_blocking(number, True)
            if number:
                os.write(number, b"")
        except OSError as error:
            if error.errno != errno.EBADF:
                continue  # a disk that is full: told by what there is to say
            nowhere = os.open(os.devnull, os.O_RDWR)  # of a closed one the number: the lowest free
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            os.set_inheritable(number, True)
            mode = "w" if number else "r"
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def _leave(*_: Any) -> None:
    """End at once: an exception would pass through libraries that are half imported."""
    os.write(2, b"Interrupted. Nothing was begun.\n")
    _end(130)


def _leave_or_raise(number: int, frame: FrameType | None) -> None:
    """End at once while Python ends, when nothing is left that one could stop gently.

    A process that goes on after a command, as a notebook does, is interrupted as ever.
    """
    if getattr(threading, "_SHUTTING_DOWN", False):
        _end(130)
    signal.default_int_handler(number, frame)


if __name__ == "__main__":
    main()
