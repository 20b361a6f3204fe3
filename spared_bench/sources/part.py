"""What has come of a file: ``.<name>.part``, and a note that says whether the rest belongs to it.

The note holds the address, the full size, and the validator (ETag or Last-Modified) of the file.
"""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spared_bench.errors import DownloadError
from spared_bench.ordinary import read_json
from spared_bench.sources.patience import AgainError, HopelessError, Meter

if TYPE_CHECKING:
    from requests import Response


def so_far(part: Path, url: str) -> tuple[int, str, int]:
    """Return how much of a file is there, its validator and its full size.

    0 if what is there cannot be built on: it is of another place, or of no known state.
    """
    if part.is_symlink() or _note_of(part).is_symlink():  # what it leads to is none of ours
        return 0, "", 0
    try:
        told: Any = read_json(_note_of(part))
        size = part.stat().st_size
    except (OSError, ValueError, RecursionError):
        return 0, "", 0
    if not isinstance(told, dict) or told.get("url") != url:
        return 0, "", 0
    validator, total = told.get("validator"), told.get("total")
    # It goes into a header, so nothing but what a header can hold comes back from the disk.
    if not (isinstance(validator, str) and re.fullmatch(r"[!-~][ -~]{0,500}", validator)):
        return 0, "", 0
    if not (type(total) is int and total >= 0 and size <= (total or size)):
        return 0, "", 0
    return size, validator, total


def note(part: Path, url: str, response: Response, total: int) -> None:
    """Note of which file a part is, and of how many bytes."""
    told = {"url": url, "validator": validator_of(response), "total": total}
    _note_of(part).unlink(missing_ok=True)
    _note_of(part).write_text(json.dumps(told), encoding="utf-8")


def validator_of(response: Response) -> str:
    """Return what tells this state of a file from others; empty for nothing."""
    if response.headers.get("Content-Encoding"):  # ranges would be of the packed bytes
        return ""
    tag = response.headers.get("ETag", "")
    # A weak tag promises the same meaning, not the same bytes.
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")


def _note_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def forget(part: Path) -> None:
    """Remove a part and its note."""
    part.unlink(missing_ok=True)
    _note_of(part).unlink(missing_ok=True)


def require_beginning(part: Path, begin: bytes) -> None:
    """Refuse what comes for the whole file, of the state of a part, and begins otherwise.

    It is the rest alone, which was asked for, from a server that does not say so.
    """
    with part.open("rb") as file:
        there = file.read(len(begin))
    if there != begin[: len(there)]:
        forget(part)
        raise AgainError("the server sends something else now than the part that is there")


def write(part: Path, start: int, most: int, chunks: Iterator[bytes], meter: Meter) -> None:
    """Append what comes to what is there, and refuse more bytes than the file can have."""
    size = start
    if not start:  # where a link lies, too
        part.unlink(missing_ok=True)
    with part.open("r+b" if start else "wb") as file:
        file.truncate(start)
        file.seek(start)
        for chunk in chunks:
            size += len(chunk)
            if size > most:
                break
            file.write(chunk)
            meter.advance(len(chunk))
    if size > most:
        forget(part)
        raise HopelessError(f"the server sends more than the {most:,} bytes that the file can have")


def unwritable(path: Path, error: OSError) -> DownloadError:
    """Return the error of a file that this machine would not write."""
    why = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
    place = error.filename2 or error.filename or path
    return DownloadError(
        f"Cannot write {place}: {why}. Free some space or choose another folder with"
        " `--data-dir DIR`; what has come is kept."
    )
