"""Care for a store: hash everything again, and find what nothing needs."""

from __future__ import annotations

import multiprocessing
import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from spared_bench.errors import CorruptEntryError, UnreadableEntryError, UsageError
from spared_bench.files import bytes_below
from spared_bench.keys.hashing import digest
from spared_bench.store.entries import MANIFEST, Store, discard
from spared_bench.store.imports import keys_in
from spared_bench.store.index import CELLS, forget_index
from spared_bench.store.leases import described, leases_of
from spared_bench.store.studies import keys_of_studies
from spared_bench.store.trials import FIGURES, SCORES, TRIALS, is_earlier_cell, read_cell
from spared_bench.words import counted

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
#: Results that no cell names, which ``complete`` finds by their inputs.
MEASURED = ("completion",)
_KEY = re.compile(r"[0-9a-f]{64}")
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
    unread : list of str
        Those of them that the system does not let us read, and that may be sound.
    """

    checked: int = 0
    damaged: dict[str, list[str]] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)


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
        Take damaged entries away, so that the next run makes them again; what cannot be read stays.
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
    wanted = list(entries_of(store, RESULTS + PRODUCTS + DERIVED + MEASURED))
    if sample < 1:
        wanted = random.sample(wanted, max(1, round(sample * len(wanted)))) if wanted else []
    verdict = Verdict()
    for (kind, key), (problems, unread) in _all_problems(store, wanted):
        verdict.checked += 1
        if problems:
            folder = str(store.folder(kind, key))
            verdict.damaged[folder] = problems
            verdict.unread += [folder] * unread
            if repair and not unread:
                store.remove(kind, key)
        told(verdict.checked, len(wanted))
    if sample == 1:
        for path in _damaged_cells(store):
            verdict.damaged[str(path)] = ["it is no record of a cell"]
            if not os.access(path, os.R_OK):
                verdict.unread.append(str(path))
            elif repair:
                discard(path)
    verdict.damaged = dict(sorted(verdict.damaged.items()))
    verdict.unread.sort()
    return verdict


def _all_problems(
    store: Store, wanted: Sequence[tuple[str, str]]
) -> Iterator[tuple[tuple[str, str], tuple[list[str], bool]]]:
    """Yield what is wrong with each entry; several processes, where that is worth their start."""
    workers = min(os.cpu_count() or 1, _MOST_WORKERS)
    done = 0
    if workers > 1 and len(wanted) >= _FEW_ENTRIES:
        # Reading manifests keeps an interpreter busy, so threads would wait for each other.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent) as pool:
            try:
                found = pool.map(partial(_examined, store), wanted, chunksize=_ENTRIES_AT_ONCE)
                for each in zip(wanted, found, strict=True):
                    done += 1
                    yield each
            except BrokenProcessPool:  # one was killed: what is left is checked here
                pool.shutdown(wait=False, cancel_futures=True)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    yield from ((each, _examined(store, each)) for each in wanted[done:])


def _end_with_parent() -> None:
    """End this process when the one that started it is gone; it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "a process of a pool has one"

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def problems_of(store: Store, kind: str, key: str) -> list[str]:
    """Say what is wrong with an entry, each of its files hashed again."""
    return _examined(store, (kind, key))[0]


def _examined(store: Store, place: tuple[str, str]) -> tuple[list[str], bool]:
    """Say what is wrong with an entry, and whether that is that it cannot be read."""
    kind, key = place
    try:
        entry = store.open(kind, key)
        if entry is None:
            return [], False
        wrong = store.verify(entry)
    except CorruptEntryError as error:
        return [str(error)], False
    except UnreadableEntryError as error:
        return [str(error)], True
    except OSError as error:
        return [f"it cannot be read: {error.strerror or error}"], True
    if digest(entry.inputs) != key:
        wrong.append("its inputs are not those of its key")
    return wrong, False


def entries_of(
    store: Store, kinds: tuple[str, ...] = RESULTS + PRODUCTS + DERIVED
) -> Iterator[tuple[str, str]]:
    """Yield kind and key of all that is there of some kinds, damaged or not.

    What is called otherwise than an entry, such as a link to another folder, is none.
    """
    for kind in kinds:
        for folder in sorted((store.root / kind).glob("*/*")):
            if _KEY.fullmatch(folder.name) and folder.parent.name == folder.name[:2]:
                yield kind, folder.name


def unneeded(store: Store, days: float) -> list[tuple[str, str, int]]:
    """Return entries that no cell of the board needs: kind, key and bytes.

    Needed are the trials that cells and studies name, what these consumed, and whatever is younger
    than so many days, which a run that is yet to come may need.

    Raises
    ------
    UsageError
        While a run uses the store, or if the record of a cell is damaged.
    """
    working = [who for _, who in leases_of(store.root).holders()]
    if working:
        raise UsageError(
            f"A run, {described(working[0])}, uses this store. Wait until it has ended;"
            " `spared-bench status` shows it."
        )
    if damaged := _damaged_cells(store):
        raise UsageError(
            f"{damaged[0]} is no record of a cell, so that it is not known what that needs"
            f" ({counted(len(damaged), 'such file')}). The run that made it writes it anew from"
            " what the store has; else remove the file, and its results are collected."
        )
    kept = _reachable(store)
    found = []
    for kind, key in entries_of(store):
        manifest = store.folder(kind, key) / MANIFEST
        age = time.time() - manifest.stat().st_mtime if manifest.is_file() else float("inf")
        if key not in kept and age >= days * 86_400 and not _belongs(store, kind, key, kept):
            found.append((kind, key, bytes_below(store.folder(kind, key))))
    return found


def _damaged_cells(store: Store) -> list[Path]:
    """Return what is called as the record of a cell and is none, nor one of an earlier version."""
    paths = sorted((store.root / CELLS).glob("*.json"))
    named = (path for path in paths if _KEY.fullmatch(path.stem))
    return [path for path in named if read_cell(path) is None and not is_earlier_cell(path)]


def _reachable(store: Store) -> set[str]:
    """Return the keys that cells and studies name, and what these were made of, all the way."""
    waiting: list[str] = sorted(keys_of_studies(store.root))
    for path in (store.root / CELLS).glob("*.json"):
        record = read_cell(path)
        if record is not None:
            waiting += [record["final"], record["scores"], *record["search"]]
    kinds: dict[str, list[str]] = {}
    for kind, key in entries_of(store, RESULTS + PRODUCTS):
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
