"""Files that are written beside their place and renamed into it, so that no reader meets half."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
