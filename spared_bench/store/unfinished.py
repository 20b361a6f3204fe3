"""Checkpoints and shards of work that was killed and that nobody went on with."""

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
