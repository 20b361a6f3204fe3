"""Care for a store: hash everything again, remove what nothing needs, carry it elsewhere."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

from spared_bench.errors import CorruptEntryError, UsageError, WorkspaceError
from spared_bench.files import write_text
from spared_bench.keys.hashing import canonical_json, digest, file_digest
from spared_bench.store.disk import is_full
from spared_bench.store.entries import MANIFEST, Entry, Store
from spared_bench.store.imported_cells import adopt_cells, is_to_be_drawn_here
from spared_bench.store.imports import ARCHIVES, MARK, keys_in, write_mark
from spared_bench.store.index import forget_index
from spared_bench.store.leases import described, leases_of
from spared_bench.store.processes import stamp
from spared_bench.store.studies import keys_of_studies
from spared_bench.store.trials import FIGURES, SCORES, TRIALS, check_record, read_cell

#: What a store holds, products last.
RESULTS = (TRIALS, SCORES, FIGURES)
PRODUCTS = (
    "prepared",
    "patches",
    "views",
    "stained",
    "completed",
    "features",
    "networks",
    "checks",
    "facts",
    "pictures",
    "registrations",
)
#: What is made of results here and never carried elsewhere.
DERIVED = ("shifts",)
_CELLS = "cells"
_MANIFEST_BYTES = 50 << 20
_KEY_CHARS = 64
_FEW_ENTRIES = 2_000  # which take no longer than processes to check them would take to start
_ENTRIES_AT_ONCE = 200
_MOST_WORKERS = 16


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


def verify(
    store: Store,
    *,
    repair: bool = False,
    sample: float = 1.0,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> Verdict:
    """Hash every file of a store again, with all cores.

    Parameters
    ----------
    store : Store
    repair : bool
        Take damaged entries away, so that the next run makes them again.
    sample : float
        The share of entries to look at, drawn anew each time; the rest is not looked at.
    told : callable, optional
        Told how many entries are done, and of how many, as it goes on.

    Raises
    ------
    UsageError
        If the share is not above 0 and at most 1.
    """
    if not 0 < sample <= 1:
        raise UsageError(f"A sample is a share above 0 and at most 1, found {sample}.")
    forget_index(store)  # no hash tells whether somebody wrote into it
    wanted = list(_keys(store))
    if sample < 1:
        wanted = random.sample(wanted, max(1, round(sample * len(wanted)))) if wanted else []
    verdict = Verdict()
    for (kind, key), problems in _all_problems(store, wanted):
        verdict.checked += 1
        if problems:
            verdict.damaged[str(store.folder(kind, key))] = problems
            if repair:
                store.remove(kind, key)
        told(verdict.checked, len(wanted))
    verdict.damaged = dict(sorted(verdict.damaged.items()))
    return verdict


def _all_problems(
    store: Store, wanted: Sequence[tuple[str, str]]
) -> Iterator[tuple[tuple[str, str], list[str]]]:
    """Yield what is wrong with each entry; several processes, where that is worth their start."""
    workers = min(os.cpu_count() or 1, _MOST_WORKERS)
    if workers == 1 or len(wanted) < _FEW_ENTRIES:
        yield from ((each, _problems(store, *each)) for each in wanted)
        return
    # Reading manifests keeps an interpreter busy, so threads would wait for each other.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        try:
            yield from zip(
                wanted,
                pool.map(partial(_problems_of, store), wanted, chunksize=_ENTRIES_AT_ONCE),
                strict=True,
            )
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _problems_of(store: Store, entry: tuple[str, str]) -> list[str]:
    return _problems(store, *entry)


def _problems(store: Store, kind: str, key: str) -> list[str]:
    try:
        entry = store.open(kind, key)
        if entry is None:
            return []
        wrong = store.verify(entry)
    except CorruptEntryError as error:
        return [str(error)]
    except OSError as error:
        return [f"it cannot be read: {error.strerror or error}"]
    if digest(entry.inputs) != key:
        wrong.append("its inputs are not those of its key")
    return wrong


def _keys(
    store: Store, kinds: tuple[str, ...] = RESULTS + PRODUCTS + DERIVED
) -> Iterator[tuple[str, str]]:
    for kind in kinds:
        for folder in sorted((store.root / kind).glob("*/*")):
            if folder.is_dir() or len(folder.name) == _KEY_CHARS:
                yield kind, folder.name


def unneeded(store: Store, days: float) -> list[tuple[str, str, int]]:
    """Return entries that no cell of the board needs: kind, key and bytes.

    Needed are the trials that cells and studies name, what these consumed, and whatever is younger
    than so many days, which a run that is yet to come may need.

    Raises
    ------
    UsageError
        While a run uses the store.
    """
    working = [who for _, who in leases_of(store.root).holders()]
    if working:
        raise UsageError(
            f"A run, {described(working[0])}, uses this store. Wait until it has ended;"
            " `spared-bench status` shows it."
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
    """Return the keys that cells and studies name, and what these were made of, all the way."""
    waiting: list[str] = sorted(keys_of_studies(store.root))
    for path in (store.root / _CELLS).glob("*.json"):
        record = read_cell(path)
        if record is not None:
            waiting += [record["final"], record["scores"], *record["search"]]
    kinds: dict[str, list[str]] = {}
    for kind, key in _keys(store, RESULTS + PRODUCTS):
        kinds.setdefault(key, []).append(kind)
    kept: set[str] = set()
    while waiting:
        key = waiting.pop()
        if key not in kept:
            kept.add(key)
            waiting += keys_in(_inputs(store, kinds.get(key, ()), key))
    return kept


def _inputs(store: Store, kinds: Iterable[str], key: str) -> object:
    """Return the inputs of the first sound entry of a key; those of all kinds are the same."""
    for kind in kinds:
        try:
            entry = store.open(kind, key)
        except CorruptEntryError:
            continue
        if entry is not None:
            return entry.inputs
    return None


def _belongs(store: Store, kind: str, key: str, kept: set[str]) -> bool:
    """Whether an entry was made of kept ones: a figure of a trial, features of patches."""
    sources = {"figures": "trial", "features": "patches", "shifts": "trial"}
    if kind not in sources:
        return False
    source = sources[kind]
    try:
        entry = store.open(kind, key)
    except CorruptEntryError:
        return False
    return entry is not None and entry.inputs.get(source) in kept


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
        Prepared datasets, patches, views, completed layers and features too.

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
            for kind, key in _keys(store, RESULTS + (PRODUCTS if products else ())):
                if not _problems(store, kind, key):
                    tar.add(store.folder(kind, key), f"{kind}/{key}")
                    entries += 1
            for path in sorted((store.root / _CELLS).glob("*.json")):
                tar.add(path, f"{_CELLS}/{path.name}")
        beside.replace(archive)
    except OSError as error:
        if str(error.filename or "").startswith(str(store.root)):
            raise WorkspaceError(
                f"Cannot read {error.filename}: {error.strerror or error}. `spared-bench store"
                " verify` finds all files of the store that cannot be read."
            ) from error
        raise UsageError(f"Cannot write {archive}: {error.strerror or error}.") from error
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
        If it is no archive of ``export``, names a place outside the store, or holds an entry whose
        files or inputs are not those of its manifest. What was taken over before stays.
    """
    store.sweep()  # of an import that was killed
    # Named as whatever is written is, so that the next sweep knows whether its writer lives.
    staging = store.root / "tmp" / f"import.{stamp()}"
    try:
        source = _source_of(archive)
        with tarfile.open(archive, "r:") as tar:
            for member in tar:
                _unpack(tar, member, staging)
        return _adopt(store, staging, archive, source)
    except (tarfile.TarError, OSError, EOFError) as error:
        if is_full(error):
            raise WorkspaceError(f"No space to unpack {archive}: {error}") from error
        if str(getattr(error, "filename", None) or "").startswith(str(store.root)):
            raise WorkspaceError(
                f"Cannot write to the workspace {store.root.parent}: {error}. Choose another one"
                " with `--workspace DIR`."
            ) from error
        raise UsageError(
            f"{archive} cannot be read as an archive of `store export`: {error}"
        ) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _source_of(archive: Path) -> dict[str, Any]:
    """Return what marks say of where an entry comes from."""
    today = datetime.now(UTC).date().isoformat()
    return {"archive": archive.name, "sha256": file_digest(archive), "imported": today}


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


def _adopt(store: Store, staging: Path, archive: Path, source: dict[str, Any]) -> tuple[int, int]:
    arrived = [(kind, folder) for kind in RESULTS + PRODUCTS for folder in _folders(staging / kind)]
    checked = [(kind, _checked(kind, folder, archive)) for kind, folder in arrived]
    if checked:  # before any of it is there, so that what is made of it is marked too
        text = json.dumps(source, indent=1)
        write_text(store.root / ARCHIVES / f"{source['sha256'][:16]}.json", text)
    new = known = 0
    for kind, entry in checked:
        final = store.folder(kind, entry.key)
        if store.has(kind, entry.key):
            known += 1
        elif not is_to_be_drawn_here(store, entry):
            store.remove(kind, entry.key)  # what is left of a damaged one
            final.parent.mkdir(parents=True, exist_ok=True)
            write_mark(entry.folder, source)
            entry.folder.rename(final)
            new += 1
    adopt_cells(store, staging / _CELLS)
    return new, known


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
