"""Results and products of a store in one file, and such a file of somebody else's taken over.

Whoever takes one over believes nothing of it: each entry is hashed again, and marked as imported.
"""

from __future__ import annotations

import errno
import json
import shutil
import tarfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any

from spared_bench.errors import CorruptEntryError, UsageError, WorkspaceError
from spared_bench.keys.hashing import canonical_json, digest, file_digest
from spared_bench.lasting import write_lasting
from spared_bench.removal import remove_folder
from spared_bench.store.disk import is_full, way_out
from spared_bench.store.entries import MANIFEST, Entry, Store, manifest_of
from spared_bench.store.imported_cells import adopt_cells, is_to_be_made_here
from spared_bench.store.imports import ARCHIVES, MARK, write_mark
from spared_bench.store.index import CELLS
from spared_bench.store.maintenance import PRODUCTS, RESULTS, entries_of, problems_of
from spared_bench.store.processes import stamp
from spared_bench.store.trials import check_record
from spared_bench.tars import members_of, open_tar

_MANIFEST_BYTES = 50 << 20


def export(
    store: Store,
    archive: Path,
    *,
    products: bool = False,
    left_out: list[str] | None = None,
) -> int:
    """Write results and the records of cells into one uncompressed tar; return how many entries.

    Parameters
    ----------
    store : Store
    archive : Path
        Replaced only when complete.
    products : bool
        Prepared datasets, patches, views, completed layers and features too.
    left_out : list of str, optional
        Gets the places of entries that are damaged or cannot be read, which are not in it.

    Raises
    ------
    UsageError
        If the archive cannot be written.
    WorkspaceError
        If a file of the store cannot be read.
    """
    beside = archive.with_name(f".{archive.name}.part")
    entries = 0
    try:
        with tarfile.open(beside, "w") as tar:
            for kind, key in entries_of(store, RESULTS + (PRODUCTS if products else ())):
                if problems_of(store, kind, key):
                    if left_out is not None:
                        left_out.append(f"{kind}/{key}")
                    continue
                tar.add(store.folder(kind, key), f"{kind}/{key}")
                entries += 1
            for path in sorted((store.root / CELLS).glob("*.json")):
                tar.add(path, f"{CELLS}/{path.name}")
        beside.replace(archive)
    except OSError as error:
        if str(error.filename or "").startswith(str(store.root)):
            raise WorkspaceError(
                f"Cannot read {error.filename}: {error.strerror or error}. `spared-bench store"
                " verify` finds all files of the store that cannot be read."
            ) from error
        way = way_out(error, "Name another file.")
        raise UsageError(f"Cannot write {archive}: {error.strerror or error}. {way}") from error
    finally:
        with suppress(OSError):
            beside.unlink()
    return entries


def import_archive(store: Store, archive: Path) -> tuple[int, int]:
    """Take the entries of an archive over, each one checked; return how many are new and known.

    Hashes say that an entry is as its exporter made it, not that its numbers were computed. So what
    is new is marked as imported, and the board shows it as that.

    Raises
    ------
    UsageError
        If it is no archive of ``export``, names a place outside the store or one twice, or holds
        an entry whose files or inputs are not those of its manifest. What was taken over before
        stays.
    """
    store.sweep()  # of an import that was killed
    # Named as whatever is written is, so that the next sweep knows whether its writer lives.
    staging = store.root / "tmp" / f"import.{stamp()}"
    try:
        source = _source_of(archive)
        with open_tar(archive, "r:") as tar:
            for member in members_of(tar):
                _unpack(tar, member, staging, archive)
        return _adopt(store, staging, archive, source)
    except (tarfile.TarError, OSError, EOFError) as error:
        if is_full(error):
            raise WorkspaceError(f"No space to unpack {archive}: {error}") from error
        named = str(getattr(error, "filename", None) or "")
        too_long = getattr(error, "errno", None) == errno.ENAMETOOLONG
        if named.startswith(str(store.root)) and not too_long:
            raise WorkspaceError(
                f"Cannot write to the workspace {store.root.parent}: {error}. Choose another one"
                " with `--workspace DIR`."
            ) from error
        raise UsageError(
            f"{archive} cannot be read as an archive of `store export`: {error}"
        ) from error
    finally:
        remove_folder(staging)


def _source_of(archive: Path) -> dict[str, Any]:
    """Return what marks say of where an entry comes from."""
    today = datetime.now(UTC).date().isoformat()
    return {"archive": archive.name, "sha256": file_digest(archive), "imported": today}


def _unpack(tar: tarfile.TarFile, member: tarfile.TarInfo, staging: Path, archive: Path) -> None:
    """Write one plain file of an archive; its directories come by themselves."""
    parts = PurePosixPath(member.name).parts
    wanted = len(parts) >= 2 and parts[0] in (*RESULTS, *PRODUCTS, CELLS)
    plain = (member.isfile() and not member.issparse()) or member.isdir()
    if not wanted or ".." in parts or "\0" in member.name or not plain:
        raise UsageError(
            f"The archive {archive.name} holds {member.name!r}, which is no plain file of a store."
            " Nothing of it was taken over. Only import what `spared-bench store export` wrote."
        )
    content = tar.extractfile(member) if member.isfile() else None
    if content is not None:
        try:
            _copy(content, staging.joinpath(*parts))
        except (FileExistsError, NotADirectoryError) as error:
            raise UsageError(
                f"The archive {archive.name} holds {member.name!r} twice: two of its members would"
                " be that one file, or one of them its folder. Nothing of it was taken over. Only"
                " import what `spared-bench store export` wrote."
            ) from error


def _copy(source: IO[bytes], target: Path) -> None:
    """Write a file where none is, by what the file system calls one name."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as file:
        shutil.copyfileobj(source, file)


def _adopt(store: Store, staging: Path, archive: Path, source: dict[str, Any]) -> tuple[int, int]:
    arrived = [(kind, folder) for kind in RESULTS + PRODUCTS for folder in _folders(staging / kind)]
    checked = [(kind, _checked(kind, folder, archive)) for kind, folder in arrived]
    if checked:  # before any of it is there, so that what is made of it is marked too
        text = json.dumps(source, indent=1)
        write_lasting(store.root / ARCHIVES / f"{source['sha256'][:16]}.json", text)
    new = known = 0
    for kind, entry in checked:
        final = store.folder(kind, entry.key)
        if store.has(kind, entry.key):
            known += 1
        elif not is_to_be_made_here(store, entry):
            store.remove(kind, entry.key)  # what is left of a damaged one
            final.parent.mkdir(parents=True, exist_ok=True)
            write_mark(entry.folder, source)
            entry.folder.rename(final)
            new += 1
    adopt_cells(store, staging / CELLS)
    return new, known


def _folders(place: Path) -> list[Path]:
    return sorted(path for path in place.glob("*") if path.is_dir())


def _checked(kind: str, folder: Path, archive: Path) -> Entry:
    """Return an entry that has come, if it is what its manifest and its name say."""
    try:
        if (folder / MANIFEST).stat().st_size > _MANIFEST_BYTES:
            raise ValueError("its manifest is too large")
        manifest = manifest_of(folder)
        inputs, files = manifest["inputs"], manifest["files"]
        if digest(inputs) != folder.name:
            raise ValueError("its inputs are not those of its key")
        there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
        if MARK in files or there - {MARK} != {*files, MANIFEST}:
            raise ValueError("its files are not those of its manifest")
        for name, facts in files.items():
            if file_digest(folder / name) != facts["sha256"]:
                raise ValueError(f"{name} has changed")
        entry = Entry(kind, folder.name, folder, json.loads(canonical_json(inputs)))
        check_record(entry)
    except (
        CorruptEntryError,
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        raise UsageError(
            f"{archive}: entry {kind}/{folder.name[:12]} is damaged or was altered ({error})."
            " Nothing was taken over; export it again."
        ) from error
    return entry
