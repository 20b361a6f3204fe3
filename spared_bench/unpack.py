"""Unpack archives from strangers: plain files and folders only, inside one folder, bounded."""

from __future__ import annotations

import lzma
import ntpath
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from spared_bench.errors import DownloadError

MAX_BYTES = 50 * 2**30  # unpacked, of one archive

_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    RuntimeError,  # zipfile, for an encrypted member
    NotImplementedError,  # zipfile, for an unknown compression
)


def is_safe(name: str) -> bool:
    """Return whether a path is relative and stays where it is joined to, on any system."""
    windows = PureWindowsPath(name)
    drive, _ = ntpath.splitdrive(name)
    inside = not (windows.root or ".." in windows.parts or drive or "\0" in name)
    return bool(name) and inside


def unpack(archive: Path, folder: Path, max_bytes: int = MAX_BYTES) -> tuple[Path, list[str]]:
    """Unpack a zip or tar archive.

    Parameters
    ----------
    archive : Path
        Zip, or tar with any compression that Python knows.
    folder : Path
        Where to unpack; not there yet.
    max_bytes : int
        Of all members together.

    Returns
    -------
    root : Path
        ``folder``, or the folder in it that holds everything: archives of a repository have one.
    members : list of str
        The files, relative to ``root``.

    Raises
    ------
    DownloadError
        For damage, too much data, or a member that is a link, a device, or outside the folder.
    """
    left = max_bytes
    names = []
    with _reading(archive) as members:
        for name, source in members:
            left -= _copy(source, folder / name, left, archive)
            names.append(name)
    tops = {PurePosixPath(name).parts[0] for name in names}
    if len(tops) == 1 and all("/" in name for name in names):
        top = tops.pop()
        return folder / top, [name.removeprefix(f"{top}/") for name in names]
    return folder, names


def _copy(source: IO[bytes], target: Path, limit: int, archive: Path) -> int:
    """Write one member and return its size, whatever the archive says of it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with source, target.open("wb") as file:
        while chunk := source.read(1 << 20):
            written += len(chunk)
            if written > limit:
                raise DownloadError(
                    f"The archive {archive.name} unpacks to more data than is allowed. It is"
                    " damaged or hostile; if it is neither, unpack it yourself."
                )
            file.write(chunk)
    return written


@contextmanager
def _reading(archive: Path) -> Iterator[Iterator[tuple[str, IO[bytes]]]]:
    """Open an archive of either kind and turn any damage into our error."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as packed:
                yield _zip_members(packed)
        else:
            with tarfile.open(archive) as packed_tar:
                yield _tar_members(packed_tar)
    except DownloadError:
        raise
    except _DAMAGE as error:
        raise DownloadError(
            f"The archive {archive.name} cannot be unpacked: {error}. It is damaged, encrypted, or"
            " neither zip nor tar."
        ) from error


def _zip_members(packed: zipfile.ZipFile) -> Iterator[tuple[str, IO[bytes]]]:
    for info in packed.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where the archiver knows no modes
        plain = kind in (0, stat.S_IFREG, stat.S_IFDIR)
        if _is_wanted(info.filename, info.is_dir(), plain):
            yield _normal(info.filename), packed.open(info)


def _tar_members(packed: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes]]]:
    for member in packed:
        if _is_wanted(member.name, member.isdir(), member.isreg() or member.isdir()):
            source = packed.extractfile(member)
            assert source is not None, "a regular member has content"
            yield _normal(member.name), source


def _is_wanted(name: str, is_folder: bool, plain: bool) -> bool:
    if not plain or not is_safe(name):
        what = "leads outside its folder" if plain else "is a link or a device"
        raise DownloadError(
            f"The archive holds {name!r}, which {what}; nothing of it was kept. Tell whoever"
            " publishes it."
        )
    return not is_folder


def _normal(name: str) -> str:
    return PurePosixPath(name).as_posix()
