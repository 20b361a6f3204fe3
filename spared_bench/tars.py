"""Tar archives of strangers: what is lost or hidden in one is an error, and no header is large.

``tarfile`` takes a header that is damaged or cut for the end of the archive, says nothing of the
members behind it, and reads as much into memory as a header says.
"""

from __future__ import annotations

import gzip
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

_HEADER_BYTES = 2**20  # of all headers of one member: a long name, times, places of a sparse file
_LOOK_BYTES = 2**30  # behind the end of an archive
_STEP = 2**20
_SIGN_BYTES = 16
_NO_GZIP = "Not a gzipped file"
#: How packed archives begin, as no tar does: else, a member is called ``BZh...`` at times.
_PACKED: tuple[tuple[bytes, Literal["r:gz", "r:bz2", "r:xz"]], ...] = (
    (rb"\x1f\x8b", "r:gz"),
    (rb"BZh[1-9]1AY&SY", "r:bz2"),
    (rb"\xfd7zXZ\x00", "r:xz"),
)


class _Headers:
    """The file of an archive, of which a part is read that a header may need."""

    def __init__(self, file: Any) -> None:
        self._file, self._left = file, _HEADER_BYTES

    def read(self, count: int) -> Any:
        self._left -= count
        if self._left < 0:
            raise tarfile.ReadError(f"a member has headers of more than {_HEADER_BYTES:,} bytes")
        return self._file.read(count)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class _Member(tarfile.TarInfo):
    """A member whose headers are bounded; one that cannot be read is not taken for the end."""

    @classmethod
    def fromtarfile(cls, tarfile: Any) -> _Member:
        if isinstance(tarfile.fileobj, _Headers):  # a header that belongs to another one
            return super().fromtarfile(tarfile)
        return _read_member(super().fromtarfile, tarfile)


def _read_member(read: Any, archive: Any) -> Any:
    file = archive.fileobj
    archive.fileobj = _Headers(file)
    try:
        found = read(archive)
    except (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError) as error:  # type: ignore[attr-defined]
        raise tarfile.ReadError(f"{error} at byte {archive.offset:,}") from error
    except RecursionError as error:
        raise tarfile.ReadError("a member has headers without end") from error
    except ValueError as error:  # numbers of a sparse file
        told = f"a member has headers that make no sense ({error}) at byte {archive.offset:,}"
        raise tarfile.ReadError(told) from error
    finally:
        archive.fileobj = file
    if found.size < 0:
        raise tarfile.ReadError(f"a member of {found.size:,} bytes")
    return found


def open_tar(path: Path, mode: Literal["r", "r:"] = "r") -> tarfile.TarFile:
    """Open a tar archive.

    Parameters
    ----------
    path : Path
    mode : str
        ``"r"`` for any compression, ``"r:"`` for none.

    Raises
    ------
    tarfile.ReadError
        If it is none, or its first header is damaged.
    """
    if mode == "r":
        # What is refused inside would be looked for in the packed bytes, which may look like a tar.
        start = _start_of(path)
        for sign, packed in _PACKED:
            if re.match(sign, start):
                return tarfile.open(path, packed, tarinfo=_Member)
    return tarfile.open(path, mode, tarinfo=_Member)


def _start_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_SIGN_BYTES)


def members_of(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yield the members of an archive that ``open_tar`` opened, up to its true end.

    Raises
    ------
    tarfile.ReadError
        If a header is damaged, cut or larger than a megabyte, or something stands behind the end
        of the archive, which all readers pass over.
    OSError, EOFError
        If what it is packed with ends in its middle, or is not what its checksum says.
    """
    yield from archive
    file: Any = archive.fileobj  # behind the last header; a step back would unpack all again
    left = _LOOK_BYTES
    try:
        while left > 0 and (rest := file.read(_STEP)):
            left -= len(rest)
            if rest.strip(b"\0"):
                raise tarfile.ReadError("data stand behind the mark of its end")
    except gzip.BadGzipFile as error:
        if not str(error).startswith(_NO_GZIP):  # what follows is not even packed
            raise
