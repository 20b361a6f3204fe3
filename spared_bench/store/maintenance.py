"""Care for a store: hash everything again, remove what nothing needs, carry it elsewhere."""

from __future__ import annotations

import json
import shutil
import tarfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from spared_bench.errors import CorruptEntryError, UsageError, WorkspaceError
from spared_bench.keys.hashing import canonical_json, digest, file_digest
from spared_bench.store.disk import is_full
from spared_bench.store.entries import MANIFEST, Entry, Store
from spared_bench.store.leases import leases_of
from spared_bench.store.trials import read_cell

#: What a store holds, products last.
RESULTS = ("trials", "scores", "figures")
PRODUCTS = ("prepared", "patches", "completed", "features", "networks", "checks")
_CELLS = "cells"
_MANIFEST_BYTES = 50 << 20
_KEY_CHARS = 64


@dataclass
class Verdict:
    """What ``verify`` found.

    Parameters
    ----------
    checked : int
        Entries.
    damaged : dict of str to list of str
        Folder of an entry to what is wrong with it.
    """

    checked: int = 0
    damaged: dict[str, list[str]] = field(default_factory=dict)


def verify(store: Store, *, repair: bool = False) -> Verdict:
    """Hash every file of a store again.

    Parameters
    ----------
    store : Store
    repair : bool
        Take damaged entries away, so that the next run makes them again.
    """
    verdict = Verdict()
    for kind, key in _keys(store):
        verdict.checked += 1
        problems = _problems(store, kind, key)
        if problems:
            verdict.damaged[str(store.folder(kind, key))] = problems
            if repair:
                store.remove(kind, key)
    return verdict


def _problems(store: Store, kind: str, key: str) -> list[str]:
    try:
        entry = store.open(kind, key)
    except CorruptEntryError as error:
        return [str(error)]
    if entry is None:
        return []
    wrong = store.verify(entry)
    if digest(entry.inputs) != key:
        wrong.append("its inputs are not those of its key")
    return wrong


def _keys(store: Store, kinds: tuple[str, ...] = RESULTS + PRODUCTS) -> Iterator[tuple[str, str]]:
    for kind in kinds:
        for folder in sorted((store.root / kind).glob("*/*")):
            if folder.is_dir() or len(folder.name) == _KEY_CHARS:
                yield kind, folder.name


def unneeded(store: Store, days: float) -> list[tuple[str, str, int]]:
    """Return entries that no cell of the board needs: kind, key and bytes.

    Needed are the trials that cells name, what these consumed, and whatever is younger than so many
    days, which a run that is yet to come may need.

    Raises
    ------
    UsageError
        While a run uses the store.
    """
    working = [who for _, who in leases_of(store.root).holders()]
    if working:
        raise UsageError(
            f"A run on {working[0]['host']} (process {working[0]['pid']}) uses this store. Wait"
            " until it has ended; `spared-bench status` shows it."
        )
    kept = _reachable(store)
    found = []
    for kind, key in _keys(store):
        manifest = store.folder(kind, key) / MANIFEST
        age = time.time() - manifest.stat().st_mtime if manifest.is_file() else float("inf")
        if key not in kept and age >= days * 86_400 and not _belongs(store, kind, key, kept):
            found.append((kind, key, _bytes(store.folder(kind, key))))
    return found


def _reachable(store: Store) -> set[str]:
    """Return the keys that cells name, and those that their manifests name, all the way down."""
    waiting: list[str] = []
    for path in (store.root / _CELLS).glob("*.json"):
        record = read_cell(path)
        if record is not None:
            waiting += [record["final"], record["scores"], *record["search"]]
    kept: set[str] = set()
    while waiting:
        key = waiting.pop()
        if key not in kept:
            kept.add(key)
            waiting += _named_in(_inputs(store, key))
    return kept


def _inputs(store: Store, key: str) -> object:
    for kind in RESULTS + PRODUCTS:
        try:
            entry = store.open(kind, key)
        except CorruptEntryError:
            continue
        if entry is not None:
            return entry.inputs
    return None


def _belongs(store: Store, kind: str, key: str, kept: set[str]) -> bool:
    """Whether an entry was made of kept ones: a figure of a trial, features of patches."""
    if kind not in ("figures", "features"):
        return False
    source = {"figures": "trial", "features": "patches"}[kind]
    try:
        entry = store.open(kind, key)
    except CorruptEntryError:
        return False
    return entry is not None and entry.inputs.get(source) in kept


def _named_in(value: object) -> list[str]:
    """Return every key (64 hex digits) in the inputs of a manifest."""
    if isinstance(value, dict):
        return [key for item in value.values() for key in _named_in(item)]
    if isinstance(value, list):
        return [key for item in value for key in _named_in(item)]
    return [value] if isinstance(value, str) and len(value) == 64 else []


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def export(store: Store, archive: Path, *, products: bool = False) -> int:
    """Write results and the records of cells into one uncompressed tar; return how many entries.

    Parameters
    ----------
    store : Store
    archive : Path
        Replaced only when complete.
    products : bool
        Prepared datasets, patches, completed layers and features too.

    Raises
    ------
    UsageError
        If the archive cannot be written.
    """
    beside = archive.with_name(f".{archive.name}.part")
    entries = 0
    try:
        with tarfile.open(beside, "w") as tar:
            for kind, key in _keys(store, RESULTS + (PRODUCTS if products else ())):
                if not _problems(store, kind, key):
                    tar.add(store.folder(kind, key), f"{kind}/{key}")
                    entries += 1
            for path in sorted((store.root / _CELLS).glob("*.json")):
                tar.add(path, f"{_CELLS}/{path.name}")
        beside.replace(archive)
    except OSError as error:
        raise UsageError(f"Cannot write {archive}: {error.strerror or error}.") from error
    finally:
        with suppress(OSError):
            beside.unlink()
    return entries


def import_archive(store: Store, archive: Path) -> tuple[int, int]:
    """Take the entries of an archive over, each one checked; return how many are new and known.

    Raises
    ------
    UsageError
        If it is no archive of ``export``, names a place outside the store, or holds an entry whose
        files or inputs are not those of its manifest. What was taken over before stays.
    """
    staging = store.root / "tmp" / f"import-{archive.name}-{time.time_ns()}"
    try:
        with tarfile.open(archive, "r:") as tar:
            for member in tar:
                _unpack(tar, member, staging)
        return _adopt(store, staging, archive)
    except (tarfile.TarError, OSError, EOFError) as error:
        if is_full(error):
            raise WorkspaceError(f"No space to unpack {archive}: {error}") from error
        raise UsageError(
            f"{archive} cannot be read as an archive of `store export`: {error}"
        ) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _unpack(tar: tarfile.TarFile, member: tarfile.TarInfo, staging: Path) -> None:
    """Write one plain file of an archive; its directories come by themselves."""
    parts = PurePosixPath(member.name).parts
    wanted = len(parts) >= 2 and parts[0] in (*RESULTS, *PRODUCTS, _CELLS)
    plain = (member.isfile() and not member.issparse()) or member.isdir()
    if not wanted or ".." in parts or not plain:
        raise UsageError(
            f"The archive holds {member.name!r}, which is no plain file of a store. Nothing of it"
            " was taken over. Only import what `spared-bench store export` wrote."
        )
    content = tar.extractfile(member) if member.isfile() else None
    if content is not None:
        target = staging.joinpath(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        _copy(content, target)


def _copy(source: IO[bytes], target: Path) -> None:
    with target.open("wb") as file:
        shutil.copyfileobj(source, file)


def _adopt(store: Store, staging: Path, archive: Path) -> tuple[int, int]:
    arrived = [(kind, folder) for kind in RESULTS + PRODUCTS for folder in _folders(staging / kind)]
    checked = [(kind, _checked(kind, folder, archive)) for kind, folder in arrived]
    new = 0
    for kind, entry in checked:
        final = store.folder(kind, entry.key)
        if not store.has(kind, entry.key):
            store.remove(kind, entry.key)  # what is left of a damaged one
            final.parent.mkdir(parents=True, exist_ok=True)
            entry.folder.rename(final)
            new += 1
    for path in sorted((staging / _CELLS).glob("*.json")):
        if read_cell(path) is None:
            continue
        target = store.root / _CELLS / path.name
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
    return new, len(checked) - new


def _folders(place: Path) -> list[Path]:
    return sorted(path for path in place.glob("*") if path.is_dir())


def _checked(kind: str, folder: Path, archive: Path) -> Entry:
    """Return an entry that has come, if it is what its manifest and its name say."""
    try:
        path = folder / MANIFEST
        if path.stat().st_size > _MANIFEST_BYTES:
            raise ValueError("its manifest is too large")
        manifest = json.loads(path.read_text(encoding="utf-8"))
        inputs, files = manifest["inputs"], manifest["files"]
        if digest(inputs) != folder.name:
            raise ValueError("its inputs are not those of its key")
        there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
        if there != {*files, MANIFEST}:
            raise ValueError("its files are not those of its manifest")
        for name, facts in files.items():
            if file_digest(folder / name) != facts["sha256"]:
                raise ValueError(f"{name} has changed")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(
            f"{archive}: entry {kind}/{folder.name[:12]} is damaged or was altered ({error})."
            " Nothing was taken over; export it again."
        ) from error
    return Entry(kind, folder.name, folder, json.loads(canonical_json(inputs)))
