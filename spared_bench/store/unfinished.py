"""What nobody goes on with: checkpoints and shards of work that was killed, logs of workers."""

from __future__ import annotations

import time
from pathlib import Path

_DAY_S = 86_400


def abandoned(folder: Path, days: float) -> list[tuple[Path, int]]:
    """Return the folders of unfinished work in which nothing was written for so many days.

    The same work goes on from there, if its key comes back; after an edit of the code it does not.

    Parameters
    ----------
    folder : Path
        Holds one folder for each (``Workspace.training``); it need not be there.
    days : float

    Returns
    -------
    list of (Path, int)
        With their bytes.
    """
    found = []
    for each in sorted(folder.glob("*")):
        if each.is_symlink() or not each.is_dir():
            continue
        states = [path.lstat() for path in each.rglob("*")]
        newest = max(state.st_mtime for state in (each.lstat(), *states))
        if time.time() - newest >= days * _DAY_S:
            found.append((each, sum(state.st_size for state in states)))
    return found


def old_logs(folder: Path, days: float) -> list[tuple[Path, int]]:
    """Return the logs of workers into which nothing was written for so many days.

    Parameters
    ----------
    folder : Path
        Holds them (``Workspace.logs``); it need not be there.
    days : float

    Returns
    -------
    list of (Path, int)
        With their bytes.
    """
    states = [(path, path.lstat()) for path in sorted(folder.glob("worker-*.log"))]
    last = time.time() - days * _DAY_S
    return [(path, state.st_size) for path, state in states if state.st_mtime <= last]
