"""A folder for what numba compiles of other packages, where by itself it finds none.

Our own functions look after themselves (``compiled.py``), and work without a folder, too.
"""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spared_bench.processing.compiled import cache_folder


def room_for_others() -> None:
    """Name a folder of one's own for compiled code of other packages, where numba has none.

    Where it can write neither to the user's cache folder nor beside the source, it raises when a
    package with such functions is imported: scanpy, squidpy, umap. ``NUMBA_CACHE_DIR`` is heeded.
    """
    if os.environ.get("NUMBA_CACHE_DIR") or _is_open(cache_folder):
        return
    try:
        folder = _temporary_folder()
    except OSError:  # there is no room at all
        return
    os.environ["NUMBA_CACHE_DIR"] = folder
    if "numba" in sys.modules:
        config: Any = sys.modules["numba"].config
        config.CACHE_DIR = folder


def _is_open(place: Callable[[], Path]) -> bool:
    try:
        folder = place()
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # the latter of a home folder that nobody knows
        return False
    return os.access(folder, os.W_OK)


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
