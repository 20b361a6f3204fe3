"""Unpack archives from strangers: plain files and folders only, inside one folder, bounded."""

from __future__ import annotations

import errno
import gzip
import lzma
import ntpath
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, cast

from spared_bench.errors import DownloadError, WorkspaceError
from spared_bench.tars import members_of, open_tar

MAX_BYTES = 2**40  # unpacked, of one archive
_SMALLEST_BOUND = 64 * 2**20
_MAX_SWELL = 100  # slides are images and packed counts, which hardly shrink; bombs shrink by 1000
_MAX_MEMBERS = 1_000_000
_LOCAL_HEADER_BYTES = 30  # before the names in it (APPNOTE.TXT of PKWARE, 4.3.7)
_DIRECTORY_BYTES = 1_000  # of a zip's list of members, for each: a name, its place, its times
_ARCHIVE_SUFFIXES = (".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".tar", ".zip")

#: How files begin that are packed in ways that neither `zipfile` nor `tarfile` reads.
_OTHER_FORMATS = {
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"\x04\x22\x4d\x18": "LZ4",
    b"\x1f\x9d": "compress",
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
    b"Rar!\x1a\x07": "RAR",
    b"LZIP\x01": "lzip",
}

_FULL = (errno.ENOSPC, errno.EDQUOT)
_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    RuntimeError,  # zipfile, for an encrypted member
    NotImplementedError,  # zipfile, for an unknown compression
    ValueError,  # zipfile, for a name that is no text in the encoding that it says
    MemoryError,  # a dictionary of gigabytes, as a header may ask for
)


def is_safe(name: str) -> bool:
    """Return whether a path is relative and stays where it is joined to, on any system."""
    windows = PureWindowsPath(name)
    drive, _ = ntpath.splitdrive(name)
    inside = not (windows.root or ".." in windows.parts or drive or "\0" in name)
    return bool(name) and inside


def bound_of(archive: Path) -> int:
    """Return to how many bytes an archive may unpack."""
    return swollen(archive.stat().st_size)


def swollen(size: int) -> int:
    """Return to how many bytes so many packed ones may unpack."""
    return min(MAX_BYTES, max(_SMALLEST_BOUND, _MAX_SWELL * size))


def check_zip_directory(archive: Path, max_members: int = _MAX_MEMBERS) -> None:
    """Refuse a zip whose list of members is too long, before that list is read into memory.

    Raises
    ------
    DownloadError
        If it says more members than that, or its list has more bytes than they need.
    """
    with archive.open("rb") as file:
        # What `zipfile` itself goes by: with a search of our own, an archive could show each of
        # them another list.
        record = getattr(zipfile, "_EndRecData")(file)  # noqa: B009
    if record is None:
        raise _damaged(archive, zipfile.BadZipFile("its end is missing"))
    if record[4] > max_members or record[5] > _DIRECTORY_BYTES * max_members:
        raise _swells(archive)


@contextmanager
def sound_zip(archive: Path, max_members: int = _MAX_MEMBERS) -> Iterator[zipfile.ZipFile]:
    """Open a zip of a stranger, every byte of which belongs to one member at most.

    Members that share their bytes unpack to many times the archive (Fifield, "A better zip bomb",
    WOOT 2019), which no bound on the size of one member finds.

    Raises
    ------
    DownloadError
        If its list of members is too long, two members overlap, one reaches into that list, or a
        stored one claims another size than it takes.
    zipfile.BadZipFile
        If it is damaged.
    """
    check_zip_directory(archive, max_members)
    with zipfile.ZipFile(archive) as packed, archive.open("rb") as file:
        end, last = 0, ""
        for info in sorted(packed.infolist(), key=lambda each: each.header_offset):
            stored = info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & 1
            if stored and info.file_size != info.compress_size:
                raise _untrue(archive, info.filename, "claims another size than it takes")
            if info.header_offset < end:
                raise _untrue(archive, info.filename, f"shares its bytes with {last[:60]!r}")
            end, last = _end_of_member(file, info), info.filename
            if end > packed.start_dir:
                raise _untrue(archive, info.filename, "reaches into the list of members")
        yield packed


def _end_of_member(file: IO[bytes], info: zipfile.ZipInfo) -> int:
    """Return where the data of a member end: its own header says how long that header is."""
    file.seek(info.header_offset)
    header = file.read(_LOCAL_HEADER_BYTES)
    if len(header) < _LOCAL_HEADER_BYTES or not header.startswith(b"PK\3\4"):
        raise zipfile.BadZipFile(f"the header of {info.filename[:60]!r} is missing")
    names = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    return info.header_offset + _LOCAL_HEADER_BYTES + names + info.compress_size


def unpack(
    archive: Path,
    folder: Path,
    max_bytes: int | None = None,
    max_members: int = _MAX_MEMBERS,
) -> tuple[Path, list[str]]:
    """Unpack a zip or tar archive.

    Parameters
    ----------
    archive : Path
        Zip, or tar with any compression that Python knows.
    folder : Path
        Where to unpack; not there yet.
    max_bytes : int, optional
        Of all members together; a hundred times the archive by default.
    max_members : int
        Files and folders.

    Returns
    -------
    root : Path
        ``folder``, or the folder in it that holds everything: archives of a repository have one.
    members : list of str
        The files, relative to ``root``.

    Raises
    ------
    DownloadError
        For damage, too much data, a member that is a link, a device, or outside the folder, or two
        that would be one file.
    WorkspaceError
        If the disk is full.
    """
    left = bound_of(archive) if max_bytes is None else max_bytes
    names = []
    with _reading(archive, max_members) as members:
        for name, source in members:
            left -= _copy(source, folder, name, left, archive)
            names.append(name)
    tops = {PurePosixPath(name).parts[0] for name in names}
    if len(tops) == 1 and all("/" in name for name in names):
        top = tops.pop()
        return folder / top, [name.removeprefix(f"{top}/") for name in names]
    return folder, names


def _copy(source: IO[bytes], folder: Path, name: str, limit: int, archive: Path) -> int:
    """Write one member and return its size, whatever the archive says of it."""
    written = 0
    with source, _new_file(folder, name, archive) as file:
        while chunk := source.read(1 << 20):
            written += len(chunk)
            if written > limit:
                raise _swells(archive)
            file.write(chunk)
    return written


def _new_file(folder: Path, name: str, archive: Path) -> IO[bytes]:
    """Open the file of a member, where none of another member is.

    The file system says which names are one: letter case counts on some and not on others.
    """
    target = folder / name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        return target.open("xb")
    except (FileExistsError, NotADirectoryError) as error:
        raise DownloadError(
            f"The archive {archive.name} holds {name[:200]!r} twice: two of its members would be"
            " that one file, or one of them its folder, and which is the data cannot be told."
            " Nothing of it was kept. Ask whoever publishes it, or unpack it yourself and keep the"
            " right one."
        ) from error


def unpack_nested(root: Path, members: list[str], pattern: str, max_bytes: int) -> list[str]:
    """Unpack those members of an unpacked archive that are archives themselves.

    Parameters
    ----------
    root : Path
        Where the members are.
    members : list of str
    pattern : str
        Which of them, e.g. ``"raw/*.tar.gz"``: an archive becomes a folder of its name without the
        suffix, a ``.gz`` that is no tar the file that it packs.
    max_bytes : int
        Of all that they hold together. A bound for each would grow with every layer.

    Returns
    -------
    list of str
        The members, with what they held in the place of those that were unpacked.
    """
    found = []
    for member in members:
        if PurePosixPath(member).match(pattern):
            inner = _unpack_member(root, member, max_bytes)
            max_bytes -= sum((root / name).stat().st_size for name in inner)
            found += inner
        else:
            found.append(member)
    return found


def _unpack_member(root: Path, member: str, max_bytes: int) -> list[str]:
    packed = root / member
    most = min(max_bytes, bound_of(packed))
    suffix = next((end for end in _ARCHIVE_SUFFIXES if member.endswith(end)), "")
    if not suffix:
        plain = member.removesuffix(".gz")
        with told_of_damage(packed), gzip.open(packed) as source:
            _copy(cast(IO[bytes], source), root, plain, most, packed)
        packed.unlink()
        return [plain]
    stem = member.removesuffix(suffix)
    beside = packed.with_name(f".{packed.name}.unpacked")
    inner, names = unpack(packed, beside, most)
    packed.unlink()
    if not names:
        return []
    if (root / stem).exists():
        raise DownloadError(
            f"The archive holds both {member!r} and {stem!r}, where it would be unpacked. Tell"
            " whoever publishes it."
        )
    inner.replace(root / stem)
    return [f"{stem}/{name}" for name in names]


def _untrue(archive: Path, member: str, what: str) -> DownloadError:
    return DownloadError(
        f"The archive {archive.name} is damaged or hostile: its member {member[:60]!r} {what}."
        " Nothing of it was unpacked. Tell whoever publishes it."
    )


def _swells(archive: Path) -> DownloadError:
    return DownloadError(
        f"The archive {archive.name} unpacks to more data than is allowed. It is damaged or"
        " hostile; if it is neither, unpack it yourself."
    )


def _damaged(archive: Path, error: Exception) -> DownloadError | WorkspaceError:
    if isinstance(error, OSError) and error.errno in _FULL:
        return WorkspaceError(
            f"The disk became full while {archive.name} was unpacked. Free some space, or choose"
            " another folder with `--data-dir DIR`; the archive itself is kept."
        )
    return DownloadError(
        f"The archive {archive.name} cannot be unpacked: {error}. It is damaged, encrypted, or"
        " neither zip nor tar."
    )


@contextmanager
def _reading(archive: Path, most: int) -> Iterator[Iterator[tuple[str, IO[bytes]]]]:
    """Open an archive of either kind."""
    with told_of_damage(archive):
        if zipfile.is_zipfile(archive):
            with sound_zip(archive, most) as packed:
                yield _zip_members(packed)
        else:
            _refuse_half_a_zip(archive)
            _refuse_other_formats(archive)
            with open_tar(archive) as packed_tar:
                yield _tar_members(packed_tar, archive, most)


@contextmanager
def told_of_damage(archive: Path) -> Iterator[None]:
    """Turn whatever reading a damaged archive raises into our error.

    Raises
    ------
    DownloadError
    WorkspaceError
        If the disk is full.
    """
    try:
        yield
    except DownloadError:
        raise
    except _DAMAGE as error:
        raise _damaged(archive, error) from error


def _refuse_half_a_zip(archive: Path) -> None:
    """Tell of a zip that is cut short, which lists its members at its end, as of that."""
    with archive.open("rb") as file:
        if file.read(4) == b"PK\3\4":
            raise zipfile.BadZipFile(
                "it is a zip whose end is missing, where its members are listed"
            )


def _refuse_other_formats(archive: Path) -> None:
    with archive.open("rb") as file:
        begin = file.read(max(map(len, _OTHER_FORMATS)))
    for magic, name in _OTHER_FORMATS.items():
        if begin.startswith(magic):
            raise DownloadError(
                f"The archive {archive.name} is packed with {name}, which is not read here; it may"
                " be sound. Unpack it, and pack its files as .zip or .tar.gz."
            )


def _zip_members(packed: zipfile.ZipFile) -> Iterator[tuple[str, IO[bytes]]]:
    for info in packed.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where the archiver knows no modes
        plain = kind in (0, stat.S_IFREG, stat.S_IFDIR)
        name = info.filename.replace("\\", "/")  # as some archivers of Windows separate folders
        if _is_wanted(name, name.endswith("/"), plain):
            yield _normal(name), packed.open(info)


def _tar_members(
    packed: tarfile.TarFile, archive: Path, most: int
) -> Iterator[tuple[str, IO[bytes]]]:
    for number, member in enumerate(members_of(packed)):
        if number >= most:
            raise _swells(archive)
        if _is_wanted(member.name, member.isdir(), member.isreg() or member.isdir()):
            source = packed.extractfile(member)
            assert source is not None, "a regular member has content"
            yield _normal(member.name), source


def _is_wanted(name: str, is_folder: bool, plain: bool) -> bool:
    nameless = not (is_folder or PurePosixPath(name).parts)
    if not plain or not is_safe(name) or nameless:
        what = "leads outside its folder" if plain else "is a link or a device"
        raise DownloadError(
            f"The archive holds {name!r}, which {what}; nothing of it was kept. Tell whoever"
            " publishes it."
        )
    return not is_folder


def _normal(name: str) -> str:
    return PurePosixPath(name).as_posix()
