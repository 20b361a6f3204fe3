"""Files and folders of a described dataset that are there and may not be read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from spared_bench.sources.description import DESCRIPTION, FILES, read_description


def unreadable(folder: Path) -> list[str]:
    """Return a sentence for each file, or folder, that a description names and that is shut.

    Parameters
    ----------
    folder : Path
        In which the description is kept.
    """
    described = read_description(folder / DESCRIPTION)
    named = [*FILES, *["image"] * (described.format != "spatialdata")]
    return [
        f"{shut}, of slide {slide_id!r}: it may not be read. Change its permissions."
        for slide_id, entry in described.slides.items()
        for value in filter(None, (getattr(entry, key) for key in named))
        for shut in _shut(Path(value))
    ]


def _shut(path: Path) -> Iterator[Path]:
    if not path.exists():
        return
    right = os.R_OK | os.X_OK if path.is_dir() else os.R_OK
    if not os.access(path, right):
        yield path
        return
    for place, folders, files in os.walk(path, followlinks=True):
        inside = [Path(place, name) for name in sorted(folders)]
        yield from (each for each in inside if not os.access(each, os.R_OK | os.X_OK))
        yield from (
            each
            for name in sorted(files)
            if not os.access(each := Path(place, name), os.R_OK) and each.exists()
        )
