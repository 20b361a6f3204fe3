"""Whether what was taken out of a file or folder is still what is in there."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

from spared_bench.files import files_below

_DIGITS = 12


def stamp_of(source: Path) -> str:
    """Return twelve hexadecimal digits that change when a file does, anywhere in a folder.

    By names, sizes and times of change: also that of the entry in the file system, since copies
    (``cp -p``, ``rsync -a``, archives) bring the times of their contents with them.
    """
    files = [source] if source.is_file() else files_below(source)
    told = hashlib.sha256()
    for path in files:
        facts = path.stat()
        name = path.relative_to(source).as_posix()
        told.update(f"{name}\0{facts.st_size}\0{facts.st_mtime_ns}\0{facts.st_ctime_ns}\0".encode())
    return told.hexdigest()[:_DIGITS]


def drop_older(kept: Path) -> None:
    """Delete earlier exports, which are called like the one that is kept but for their stamp."""
    start = len(kept.stem) - _DIGITS
    for path in kept.parent.glob(f"*{kept.suffix}"):
        if (
            path != kept
            and path.stem[:start] == kept.stem[:start]
            and len(path.stem) == len(kept.stem)
        ):
            with suppress(OSError):
                path.unlink()
