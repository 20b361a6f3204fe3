"""Keeps a plugin's code from what the whole process shares: standard output, folder, signals."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def guarded() -> Iterator[None]:
    """Send what is printed to standard error, and take back a new folder or signal handler.

    Standard output belongs to the command, whose ``--json`` must stay JSON.
    """
    folder, handlers = _folder(), _handlers()
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        if folder is not None:
            with suppress(OSError):  # it is gone
                os.chdir(folder)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _folder() -> Path | None:
    try:
        return Path.cwd()
    except OSError:
        return None


def _handlers() -> dict[int, Any]:
    if threading.current_thread() is not threading.main_thread():
        return {}
    found = {number: signal.getsignal(number) for number in _SIGNALS}
    return {number: handler for number, handler in found.items() if handler is not None}
