"""Why nothing is at a path that somebody wrote: what of it is there, and what is called like it."""

from __future__ import annotations

import os
import re
import unicodedata
from contextlib import suppress
from pathlib import Path

from spared_bench.errors import did_you_mean

_SERVER = re.compile(r"\b(https?|ftp|s3|gs):/+")
_VARIABLE = re.compile(r"\$\{?\w+\}?|%\w+%")
_PATTERN = re.compile(r"[*?]")


def whereabouts(path: Path) -> str:
    """Return a sentence on a path at which nothing is; empty where something is.

    Parameters
    ----------
    path : Path
    """
    if path.exists():
        return ""
    text = str(path)
    if server := _SERVER.search(text):
        return f"What is on a server ({server[1]}) is not fetched: download it, and name the file."
    if "\\" in text:
        return "Folders are parted by `/` here, and a backslash is a letter of a name."
    if variable := _VARIABLE.search(text):
        return f"Nothing is put in the place of {variable[0]}: write the path in full."
    if pattern := _PATTERN.search(text):
        return f"Paths are no patterns ({pattern[0]}): name what is meant."
    return _first_lacking(path.resolve())


def no_file(path: Path) -> str:
    """Return a sentence on a path at which there is no file to read; empty where there is one.

    Parameters
    ----------
    path : Path
    """
    if path.is_dir():
        return "It is a folder: name the file in it that is meant."
    if path.exists() and not path.is_file():
        return "It is a pipe, a socket or a device: write what comes from it into a file."
    return whereabouts(path)


def shut(path: Path) -> Path:
    """Return the folder on the way to a path that may not be entered; the path where all may be.

    Parameters
    ----------
    path : Path
        Which may not be read or written.
    """
    on_the_way = reversed(path.absolute().parents)
    closed = (each for each in on_the_way if each.is_dir() and not os.access(each, os.X_OK))
    return next(closed, path)


def _first_lacking(path: Path) -> str:
    """Name the first part of a path that is not there, and the nearest name beside it."""
    above = next(folder for folder in path.parents if folder.exists())
    name = path.relative_to(above).parts[0]
    if not above.is_dir():
        return f"{above} is a file, and no folder."
    names: list[str] = []
    with suppress(OSError):
        names = [each.name for each in above.iterdir()]
    looks = unicodedata.normalize("NFC", name)
    if same := [each for each in names if unicodedata.normalize("NFC", each) == looks]:
        return (
            f"{above} has a {looks!r} whose letters are put together otherwise ({same[0]!a}, where"
            f" {name!a} is asked for), as macOS writes them: rename it, or copy its name."
        )
    return f"{above} has no {name!r}. {did_you_mean(name, names)}".rstrip()
