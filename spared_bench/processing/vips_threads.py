"""The threads of libvips, which a fork of this process does not have, and waits for for ever."""

from __future__ import annotations

import os
from pathlib import Path

from spared_bench.errors import ImageError

_TASKS = Path("/proc/self/task")
_here = _lost = False


def require_threads(path: Path | str) -> None:
    """Refuse to let libvips decode where it would never end.

    Parameters
    ----------
    path : Path or str
        Of the image, for the message.

    Raises
    ------
    ImageError
        If this process was forked from one in which libvips had threads.
    """
    global _here  # noqa: PLW0603 - a process has them or not
    if _lost:
        raise ImageError(
            f"The image {path} cannot be read in this process: it was forked from one in which"
            " libvips had run, and has none of its threads. Read images before the fork, or start"
            " the process anew (multiprocessing's 'spawn' or 'forkserver')."
        )
    _here = True


def _before_fork() -> None:
    """Look for threads that are there; they may be another package's, and they end in time."""
    global _here  # noqa: PLW0603
    if _TASKS.is_dir():
        _here = any(_name(task).startswith("libvips") for task in _TASKS.iterdir())


def _name(task: Path) -> str:
    try:
        return (task / "comm").read_text()
    except OSError:  # it has ended
        return ""


def _in_child() -> None:
    global _here, _lost
    _here, _lost = False, _here or _lost


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_in_child)
