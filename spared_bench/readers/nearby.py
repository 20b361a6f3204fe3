"""Where a missing file may be: archives of papers rename, pack and move what belongs together."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from pathlib import Path

_MOST = 3
_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".zip")
_PACKED = (".gz", ".zip", ".bz2", ".xz")
#: Of browsers and of cloud folders, whose file is elsewhere.
_UNFINISHED = (".crdownload", ".part", ".partial", ".download", ".opdownload", ".icloud")


def nearby(wanted: Path, *patterns: str) -> str:
    """Say which files near the place of a missing one may be it.

    Parameters
    ----------
    wanted : Path
        What is missing.
    *patterns : str
        Of names, in small or capital letters.

    Returns
    -------
    str
        A sentence, or empty where nothing is like it in the folder, in those inside it, or above.
    """
    found = [path for path in dict.fromkeys(_like(wanted.parent, patterns)) if path != wanted]
    if not found:
        return ""
    names = ", ".join(map(str, found[:_MOST])) + (", ..." if len(found) > _MOST else "")
    if found[0].suffix.casefold() in _UNFINISHED:
        return f"There is {names}, which has not come whole: download it again."
    how = "unpack" if found[0].suffix.casefold() in _PACKED else "copy"
    return f"There is {names}: if that is it, {how} it to {wanted}."


def packed_beside(folder: Path, *words: str) -> str:
    """Say which archives in a folder may hold what is missing there, by words in their names."""
    found = [
        path.name
        for path in (sorted(folder.iterdir()) if folder.is_dir() else [])
        if path.name.casefold().endswith(_ARCHIVES) and any(word in path.name for word in words)
    ]
    if not found:
        return ""
    names = ", ".join(found[:_MOST]) + (", ..." if len(found) > _MOST else "")
    return f"There is {names}: unpack it there."


def _like(folder: Path, patterns: tuple[str, ...]) -> Iterator[Path]:
    """Yield files of such names, the nearest first."""
    places = [folder, *_inside(folder), folder.parent]
    places += [] if folder.is_dir() else _inside(folder.parent)
    for place in places:
        files = sorted(path for path in place.iterdir() if path.is_file()) if place.is_dir() else []
        for pattern in patterns:
            yield from (file for file in files if _is_called(file.name, pattern))


def _is_called(name: str, pattern: str) -> bool:
    # macOS keeps what it knows of a file in another one, which begins so.
    return not name.startswith("._") and fnmatch.fnmatchcase(name.casefold(), pattern.casefold())


def _inside(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir())


def packed(path: Path) -> Path:
    """Return ``path.gz`` where that is there and ``path`` is not."""
    other = path.with_name(f"{path.name}.gz")
    return other if other.is_file() and not path.is_file() else path
