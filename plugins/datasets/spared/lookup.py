"""Find the one file of a slide, or say what was looked for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from spared_bench.errors import DataError, ImageError, MissingFileError

IMAGES = (".jpg", ".jpeg", ".tif", ".tiff", ".png", ".svs")


def only(found: Iterable[Path], what: str, where: Path, error: type[DataError]) -> Path:
    """Return the only path of several; hidden ones do not count.

    Raises
    ------
    DataError
        Of the given class, if there is none or more than one.
    """
    paths = sorted(path for path in found if not path.name.startswith("."))
    if len(paths) == 1:
        return paths[0]
    if not paths:
        raise error(
            f"There is no {what} below {where}. `spared-bench data verify` says whether the dataset"
            " is whole; fetch it again, or check its layout."
        )
    names = ", ".join(path.relative_to(where).as_posix() for path in paths[:5])
    raise error(f"Expected one {what} below {where}, found {len(paths)}: {names}.")


def only_image(folder: Path, pattern: str, what: str) -> Path:
    """Return the only image below a folder that a pattern matches."""
    found = (path for path in folder.glob(pattern) if path.suffix.lower() in IMAGES)
    return only(found, what, folder, ImageError)


def only_folder(folder: Path, pattern: str, what: str) -> Path:
    """Return the only folder below a folder that a pattern matches."""
    found = (path for path in folder.glob(pattern) if path.is_dir())
    return only(found, what, folder, MissingFileError)
