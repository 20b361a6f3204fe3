"""A folder for what numba compiles of other packages, where by itself it finds none.

Our own functions look after themselves (``compiled.py``), and work without a folder, too.
"""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from spared_bench.processing.compiled import cache_folder

#: What the compiled code of one function takes, generously.
_ROOM = 1 << 18


def room_for_others() -> None:
    """Name a folder of one's own for compiled code of other packages, where numba has none.

    Where it can write neither to the user's cache folder nor beside the source, it raises when a
    package with such functions is imported: scanpy, squidpy, umap. ``NUMBA_CACHE_DIR`` is heeded.
    It also raises where the disk of that folder is full, as home folders with a quota are, and at
    what it finds there damaged: a machine that loses power leaves files that are empty or cut.
    """
    if not (os.environ.get("NUMBA_CACHE_DIR") or _is_open(cache_folder)):
        with suppress(OSError):  # there is no room at all
            _keep_in(_temporary_folder())
    _discard_damaged(os.environ.get("NUMBA_CACHE_DIR", ""), os.getpid())


def _keep_in(folder: str) -> None:
    os.environ["NUMBA_CACHE_DIR"] = folder
    if "numba" in sys.modules:
        config: Any = sys.modules["numba"].config
        config.CACHE_DIR = folder


def _is_open(place: Callable[[], Path]) -> bool:
    try:
        folder = place()
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            return file.write(bytes(_ROOM)) == _ROOM
    except (OSError, RuntimeError):  # the latter of a home folder that nobody knows
        return False


@cache
def _discard_damaged(named: str, process: int) -> None:
    """Remove what is no whole pickle, once in a process: numba makes it again."""
    with suppress(OSError, RuntimeError):
        folder = Path(named) if named else cache_folder()
        for path in folder.glob("*/*.nb[ci]"):
            with suppress(OSError):
                if not _is_whole(path):
                    path.unlink()


def _is_whole(path: Path) -> bool:
    """Whether a file begins and ends as pickles do."""
    with path.open("rb") as file:
        begin = file.read(1)
        file.seek(-min(1, len(begin)), os.SEEK_END)
        return begin == b"\x80" and file.read(1) == b"."


def _temporary_folder() -> str:
    """Return the same folder each time, unless another user could write there: it is code."""
    owner = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir()) / f"spared-bench-numba-{owner}"
    folder.mkdir(mode=0o700, exist_ok=True)
    facts = folder.lstat()
    is_private = stat.S_ISDIR(facts.st_mode) and not facts.st_mode & 0o022
    if is_private and facts.st_uid == owner:
        return str(folder)
    return tempfile.mkdtemp(prefix="spared-bench-numba-")
