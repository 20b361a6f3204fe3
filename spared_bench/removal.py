"""Folders that are taken away, whatever the code of others has left in them."""

from __future__ import annotations

import os
import shutil
import stat
import uuid
from contextlib import suppress
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def remove_folder(folder: Path) -> None:
    """Remove a folder with all that is in it, as far as that can be done.

    Python's own goes down by recursion, which ends in an error a thousand folders deep, and stops
    at a folder whose rights were taken away.

    Parameters
    ----------
    folder : Path
        Nothing happens where there is none, or where a link to one is.
    """
    with suppress(OSError, RecursionError):
        shutil.rmtree(folder)
    with suppress(OSError):
        if folder.is_symlink() or not folder.is_dir():
            return
        folder.chmod(stat.S_IRWXU)
        top = os.open(folder, _FOLDER)
        try:
            _empty(top)
        finally:
            os.close(top)
        folder.rmdir()


def _empty(top: int) -> None:
    """Empty a folder without going down: what lies in a folder of it is moved up beside that."""
    waiting = _folders_alone(top)
    while waiting:
        name = waiting.pop()
        with suppress(OSError):
            below = os.open(name, _FOLDER, dir_fd=top)
            try:
                for inner in _folders_alone(below):
                    above = uuid.uuid4().hex
                    os.rename(inner, above, src_dir_fd=below, dst_dir_fd=top)
                    waiting.append(above)
            finally:
                os.close(below)
            os.rmdir(name, dir_fd=top)


def _folders_alone(folder: int) -> list[str]:
    """Remove what is no folder from one; return the names of the others, which can be moved now."""
    left = []
    for name in os.listdir(folder):
        with suppress(OSError):
            if stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode):
                os.chmod(name, stat.S_IRWXU, dir_fd=folder)
                left.append(name)
            else:
                os.unlink(name, dir_fd=folder)
    return left
