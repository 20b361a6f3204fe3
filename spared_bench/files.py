"""Files that are written beside their place and renamed into it, so that no reader meets half."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISREG


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a place to write to, which becomes ``path`` when the block ends without an error.

    Parameters
    ----------
    path : Path
        Replaced in one step; its folder is made where it is missing.

    Yields
    ------
    Path
        In the same folder, with the same suffix, which some writers go by.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{os.getpid()}-{uuid.uuid4().hex[:8]}.{path.name}")
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_text(path: Path, text: str, *, sync: bool = True) -> None:
    """Write a text file so that it is never read half-written.

    Parameters
    ----------
    path : Path
    text : str
    sync : bool
        Wait until it is on the disk; not worth it for what can be written again.
    """
    with replacing(path) as beside, beside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        if sync:
            os.fsync(file.fileno())


def bytes_below(folder: Path) -> int:
    """Return how large all files below a folder are together; of a link, what it leads to."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                facts = os.stat(f"{place}/{name}")  # noqa: PTH116  # a path of each takes longer
                total += facts.st_size if S_ISREG(facts.st_mode) else 0
    return total


def files_below(folder: Path) -> list[Path]:
    """Return all files below a folder, sorted; folders that are linked are gone into, once each."""
    found, seen = [], set()
    for place, folders, names in os.walk(folder, followlinks=True):
        facts = Path(place).stat()
        if (facts.st_dev, facts.st_ino) in seen:  # a link to where it lies itself
            folders.clear()
            continue
        seen.add((facts.st_dev, facts.st_ino))
        found += [path for name in names if (path := Path(place, name)).is_file()]
    return sorted(found)
