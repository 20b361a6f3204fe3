"""Opening what a stranger hands in.

Before anything is unpacked, every member must have one of the names of the format and at most the
size of its kind, and predictions must be stored uncompressed (they are compressed inside), so that
no archive unpacks to much more than itself.
"""

from __future__ import annotations

import re
import stat
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from spared_bench.errors import DownloadError, SubmissionError, WorkspaceError
from spared_bench.keys.hashing import file_digest
from spared_bench.leaderboard.text import visible
from spared_bench.sources.archives import sound_zip, told_of_damage, unpack
from spared_bench.store.processes import scratch_folder
from spared_bench.submissions.bundle import (
    CLAIM,
    CONFORMANCE,
    DESCRIPTION,
    MANIFEST,
    PROVENANCE,
    SIGNATURE,
    Bundle,
    read_text,
)
from spared_bench.submissions.names import check_signature
from spared_bench.submissions.schema import (
    MAX_DATASETS,
    MAX_RESULTS,
    Claim,
    Description,
    FileFact,
    Manifest,
    Provenance,
    read_description,
    read_json,
)
from spared_bench.whereabouts import whereabouts

_NAME = r"[a-z0-9][a-z0-9_+.-]{0,63}"
_IDS = re.compile(rf"ids/{_NAME}\.(?:spots|genes)\.txt")
_PREDICTION = re.compile(rf"predictions/{_NAME}/{_NAME}/{_NAME}/[0-9]{{1,10}}\.npz")

#: At most this many bytes of a file, by its name; of a prediction, of a manifest.
_BYTES = {DESCRIPTION: 20_000, CLAIM: 4_000_000, PROVENANCE: 1_000_000, CONFORMANCE: 200_000}
_SIGNATURE_BYTES = 200
_IDS_BYTES, _PREDICTION_BYTES, _MANIFEST_BYTES = 8_000_000, 2**31, 4_000_000
_TEXT_BYTES = 256_000_000  # of all texts together
_MAX_MEMBERS = MAX_RESULTS + 2 * MAX_DATASETS + 100
_MAX_DEPTH = 4  # of folders: predictions/<dataset>/<completer>/<predictor>
MAX_BYTES = 16 * 2**30
_POINTER = b"version https://git-lfs.github.com/spec/"


@contextmanager
def opened(path: Path) -> Iterator[Bundle]:
    """Open a bundle: an archive or a folder.

    Raises
    ------
    SubmissionError
        For anything that is not exactly a bundle.
    WorkspaceError
        If the disk on which it is unpacked is full.
    """
    if path.is_dir():
        _check_folder(path)
        yield _read(path)
        return
    if not path.is_file():
        raise SubmissionError(
            f"There is no bundle {path}. {whereabouts(path)} `spared-bench submit build PREDICTOR`"
            " makes one."
        )
    _check_archive(path)
    with scratch_folder() as scratch:
        folder = scratch / "bundle"
        try:
            unpack(path, folder, MAX_BYTES, _MAX_MEMBERS)
        except DownloadError as error:
            raise SubmissionError(f"{path.name} is refused: {error}") from error
        except WorkspaceError as full:
            raise WorkspaceError(
                f"The disk of temporary files ({scratch.parent}) became full while {path.name} was"
                " unpacked. Free some space, or name another folder in TMPDIR."
            ) from full
        yield _read(folder)


def description_of(path: Path) -> Description:
    """Return what a bundle's archive says of its method; nothing else of it is read.

    Raises
    ------
    SubmissionError
        For an archive that is no bundle by its members, and a description that is none.
    """
    if DESCRIPTION not in _check_archive(path):
        raise SubmissionError(f"{path.name} is refused: it holds no {DESCRIPTION}.")
    try:
        with told_of_damage(path), sound_zip(path, _MAX_MEMBERS) as packed:
            text = packed.read(DESCRIPTION).decode("utf-8")
    except DownloadError as error:
        raise SubmissionError(f"{path.name} is refused: {str(error)[:500]}") from error
    return read_description(text, DESCRIPTION)


def _check_archive(path: Path) -> Collection[str]:
    """Look at the list of members, before any of them is unpacked; return their names."""
    try:
        with told_of_damage(path):
            if _is_pointer(path):
                raise SubmissionError(
                    f"{path.name} is refused: it is a pointer of Git LFS, and what it points to was"
                    " not handed in. Commit the zip itself (`git lfs untrack`, then `git add` it"
                    " again); one that is too large for that goes to whoever keeps the board in"
                    " another way."
                )
            if not zipfile.is_zipfile(path):
                raise SubmissionError(
                    f"{path.name} is refused: it is no zip archive. A bundle is the zip that"
                    " `spared-bench submit build` makes; tar and other archives are not opened."
                )
            with sound_zip(path, _MAX_MEMBERS) as packed:
                members = packed.infolist()
    except DownloadError as error:
        raise SubmissionError(f"{path.name} is refused: {str(error)[:500]}") from error
    sizes: dict[str, int] = {}
    for info in members:
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG) or info.flag_bits & 1:
            raise _refused(info.filename, "is a link, a device, a folder or encrypted")
        if info.filename in sizes:
            raise _refused(info.filename, "stands twice in the archive")
        sizes[info.filename] = info.file_size
        stored = info.compress_type == zipfile.ZIP_STORED
        if not stored and (
            info.filename.endswith(".npz") or info.compress_type != zipfile.ZIP_DEFLATED
        ):
            raise _refused(info.filename, "is compressed in another way than `submit build` does")
    _check_sizes(sizes)
    return sizes


def _is_pointer(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_POINTER)) == _POINTER


def _check_folder(folder: Path) -> None:
    sizes: dict[str, int] = {}
    folders = [folder]
    while folders:
        for path in folders.pop().iterdir():
            name = path.relative_to(folder).as_posix()
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise _refused(name, "is a link or a device")
            if path.is_file():
                sizes[name] = path.stat().st_size
            elif name.count("/") < _MAX_DEPTH:
                folders.append(path)
            else:
                raise _refused(name, "is no folder of a bundle")
            if len(sizes) + len(folders) > _MAX_MEMBERS:
                raise SubmissionError(f"The bundle has more than {_MAX_MEMBERS} files.")
    _check_sizes(sizes)


def _check_sizes(sizes: dict[str, int]) -> None:
    texts = 0
    for name, size in sizes.items():
        most = _largest(name)
        if most is None:
            raise _refused(
                name, "is no file of a bundle; only what `submit build` writes is read, no pickles"
            )
        if size > most:
            raise _refused(name, f"has {size} bytes; at most {most} are read")
        texts += 0 if name.endswith(".npz") else size
    if texts > _TEXT_BYTES or sum(sizes.values()) > MAX_BYTES:
        raise SubmissionError(
            f"The bundle has {sum(sizes.values())} bytes, {texts} of them in texts; at most"
            f" {MAX_BYTES} and {_TEXT_BYTES} are read."
        )


def _largest(name: str) -> int | None:
    """Return how large a file of this name may be, ``None`` if a bundle has no such file."""
    if _PREDICTION.fullmatch(name):
        return _PREDICTION_BYTES
    if _IDS.fullmatch(name):
        return _IDS_BYTES
    if name == SIGNATURE:
        return _SIGNATURE_BYTES
    return _MANIFEST_BYTES if name == MANIFEST else _BYTES.get(name)


def _refused(name: str, reason: str) -> SubmissionError:
    return SubmissionError(
        f"The bundle is refused: its member {visible(name)!r} {reason}. Hand in the zip as `submit"
        " build` made it: one that was packed again is another."
    )


def _read(folder: Path) -> Bundle:
    manifest = read_json(read_text(folder, MANIFEST), Manifest, MANIFEST)
    _check_hashes(folder, manifest.files)
    description = read_description(read_text(folder, DESCRIPTION), DESCRIPTION)
    if description.key:
        signature = read_text(folder, SIGNATURE)
        check_signature(description.key, (folder / MANIFEST).read_bytes(), signature)
    return Bundle(
        folder,
        description,
        read_json(read_text(folder, CLAIM), Claim, CLAIM),
        read_json(read_text(folder, PROVENANCE), Provenance, PROVENANCE),
        {name: fact.sha256 for name, fact in manifest.files.items()},
    )


def _check_hashes(folder: Path, facts: dict[str, FileFact]) -> None:
    present = {
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    } - {MANIFEST, SIGNATURE}
    if odd := sorted(present ^ set(facts)):
        where = "is in the bundle and not in" if odd[0] in present else "is in"
        end = "" if odd[0] in present else " and not in the bundle"
        raise SubmissionError(f"{visible(odd[0])} {where} {MANIFEST}{end}. Build the bundle again.")
    for name, fact in facts.items():
        path = folder / name
        if path.stat().st_size != fact.bytes or file_digest(path) != fact.sha256:
            raise SubmissionError(
                f"{name} is not the file that {MANIFEST} tells of: its size or SHA-256 differ."
                " Build the bundle again; files of a bundle are not edited by hand."
            )
