"""The folder of a site: new files beside the old ones, renamed into it with the page last."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from spared_bench.errors import WorkspaceError
from spared_bench.keys.hashing import digest, file_digest
from spared_bench.ordinary import read_bytes
from spared_bench.removal import remove_folder
from spared_bench.store.processes import is_orphan, stamp

#: The file of each folder of a page that tells ours from another's, and words of it.
KINDS = {"assets": ("core.js", "const spared ="), "data": ("index.js", "spared.put(")}
PAGE = "index.html"
_PAGE_WORDS = "<title>spared-bench leaderboard</title>"
_NAMED = re.compile(r"\b(?:assets|data)-[0-9a-f]{16}\b")

_BUILDING = ".building."


class OvertakenError(Exception):
    """Another build has put its page there since this one read what it shows."""


class PageMark(NamedTuple):
    """What changes when a page is put in the place of another."""

    file: int
    time: int


def mark_of(out: Path) -> PageMark | None:
    """Return the mark of the page that is in a folder now; ``None`` without one."""
    try:
        found = (out / PAGE).lstat()
    except OSError:
        return None
    return PageMark(found.st_ino, found.st_mtime_ns)


def replace_site(
    out: Path, write: Callable[[Path], None], is_newest: Callable[[], bool] = lambda: True
) -> Path:
    """Write a site into a hidden folder of ``out`` and rename it from there; return the page.

    Parameters
    ----------
    out : Path
    write : callable
        Is given the hidden folder.
    is_newest : callable
        Asked when all is written: whether it may take the place of what is there.

    Raises
    ------
    OvertakenError
        If it may not.
    WorkspaceError
        If the folder holds a page that no build has written.
    OSError
        If it cannot be written.
    """
    check_ours(out)
    out.mkdir(parents=True, exist_ok=True)
    _keep_odd_page(out)
    for left in filter(is_orphan, out.glob(f"{_BUILDING}*")):
        remove_folder(left)
    # Within the folder, which may be a file system of its own.
    beside = out / f"{_BUILDING}{stamp()}"
    beside.mkdir()
    try:
        write(beside)
        if not is_newest():
            raise OvertakenError
        before = _named_by(out / PAGE)
        _move(beside, out)
        _sweep(out, before | _named_by(out / PAGE), beside)
    finally:
        remove_folder(beside)
    return out / PAGE


def check_ours(out: Path) -> None:
    """Refuse to replace a page that another has written: `--out .` in a site of somebody's.

    A page that is damaged does not say whose it was; what lies beside it does.

    Raises
    ------
    WorkspaceError
    """
    path = out / PAGE
    if _is_odd(path) and not _holds_ours(out):
        raise WorkspaceError(
            f"{path} was not written by `spared-bench leaderboard build`, which would replace it."
            " Name an empty folder, or one of an earlier leaderboard, with --out. If it is what is"
            " left of a leaderboard, remove it and build again."
        )


def _is_odd(page: Path) -> bool:
    """Whether something lies in the place of a page that is none of ours, and is not empty."""
    if page.is_file() and not page.stat().st_size:
        return False
    return (page.exists() or page.is_symlink()) and not _has(page, _PAGE_WORDS)


def _holds_ours(out: Path) -> bool:
    """Whether a folder holds a folder of a page of ours."""
    found = [(kind, path) for kind in KINDS for path in (out / kind, *out.glob(f"{kind}-*"))]
    return any(_has(path / KINDS[kind][0], KINDS[kind][1]) for kind, path in found)


def _keep_odd_page(out: Path) -> None:
    """Put what lies in the place of our page aside, in case somebody wants to look at it."""
    page, aside = out / PAGE, out / f"{PAGE}.damaged"
    if _is_odd(page):
        if aside.is_dir() and not aside.is_symlink():
            shutil.rmtree(aside)
        page.replace(aside)


def _has(path: Path, words: str) -> bool:
    return path.is_file() and words in read_bytes(path).decode("utf-8", "replace")


def _named_by(page: Path) -> set[str]:
    """Return the folders that a page reads; those of earlier versions have no such names."""
    try:
        found = set(_NAMED.findall(read_bytes(page).decode("utf-8", "replace")))
    except OSError:
        return set()
    return found or set(KINDS)


def name_by_content(folder: Path) -> str:
    """Rename a folder to its name and a hash of its files; return the new name."""
    name = f"{folder.name}-{_hash(folder)}"
    folder.rename(folder.with_name(name))
    return name


def _hash(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return digest([[path.relative_to(folder).as_posix(), file_digest(path)] for path in files])[:16]


def _move(beside: Path, out: Path) -> None:
    """Put the new files into the folder: first what the page reads, last the page."""
    folders = [path for path in beside.iterdir() if path.is_dir()]
    for path in folders:
        _put(path, out / path.name)
    tables = [path for path in beside.iterdir() if path.is_file() and path.name != PAGE]
    for path in sorted(tables):
        path.replace(out / path.name)
    (beside / PAGE).replace(out / PAGE)
    for path in folders:  # another build may have swept what was there before
        _put(path, out / path.name)


def _put(folder: Path, final: Path) -> None:
    """Rename a folder into its place, unless one with these very files is there."""
    if not folder.is_dir() or (final.is_dir() and final.name.endswith(f"-{_hash(final)}")):
        return
    if final.exists():
        final.rename(folder.with_name(f"{folder.name}.damaged"))
    folder.rename(final)


def _sweep(out: Path, kept: set[str], beside: Path) -> None:
    """Remove the folders of earlier pages, unless another build may be about to name one."""
    found = [path for kind in KINDS for path in (out / kind, *out.glob(f"{kind}-*"))]
    if any(path != beside for path in out.glob(f"{_BUILDING}*")):
        return
    for path in found:
        file, words = KINDS[path.name.partition("-")[0]]
        ours = path.name in KINDS or _NAMED.fullmatch(path.name)
        if ours and path.name not in kept and _has(path / file, words):
            removed = beside / f"{path.name}.old"  # nobody meets half of it
            path.rename(removed)
