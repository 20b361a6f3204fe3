"""The small records of a store: by its index where they have not changed since, else its files."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic_core import from_json

from spared_bench.ordinary import read_json
from spared_bench.results import BY_HAND, TrialResult, TrialScores, record_of
from spared_bench.store.entries import MANIFEST, Store
from spared_bench.store.finals import packed, unpacked
from spared_bench.store.imports import MARK, is_marked
from spared_bench.store.index import CELLS, FINALS, PARTS, Index, empty_of
from spared_bench.store.onlooker import looked_ahead
from spared_bench.store.stamps import is_as, missing, names_in, stamp_of, stamp_of_file
from spared_bench.store.trials import (
    MADE_OF,
    PREDICTIONS,
    SCORES,
    TRIALS,
    WRITTEN,
    is_earlier_cell,
    read_cell,
    read_scores,
    read_trial,
)

_YOUNG = 2.0  # seconds: a file that is younger could change again with no new time
_BETWEEN = "\n\n"  # the stamps of two entries
_BARE = missing(PREDICTIONS)
#: What a look at the files of a cell finds: others than were kept, the same, without predictions.
_OTHER, _SAME, _SAME_AND_BARE = range(3)
_T = TypeVar("_T")


class CellFile(NamedTuple):
    """A file that may be the record of a cell.

    ``record`` is ``None`` where it is none; ``earlier`` says whether it is one of a version in
    which scores were part of a trial; ``changed`` is in nanoseconds.
    """

    place: str
    record: dict[str, Any] | None
    earlier: bool
    changed: int

    @property
    def path(self) -> Path:
        """Where it is."""
        return Path(self.place)

    @property
    def written(self) -> int:
        """When it was written, in nanoseconds, as it says itself; else when it was changed."""
        said: int = (self.record or {}).get(WRITTEN, self.changed)
        return said


class Records:
    """Reads the records of a store, by its index where they have not changed since.

    A context manager: what was read anew is in the index when it ends.

    Parameters
    ----------
    store : Store
    outcomes : bool
        Whether it is enough to know what became of each trial: of what is in the index, only its
        names, its state and the message are read, and all else of the results is left empty.
    genes : bool
        Whether values of single genes, curves and tracebacks are wanted; else they are left empty.
    """

    def __init__(self, store: Store, *, outcomes: bool = False, genes: bool = True) -> None:
        self.store, self._root, self._genes = store, str(store.root), genes
        self._outcomes = outcomes
        self._index = Index(store.root, outcomes, genes)
        self._cells: list[CellFile] | None = None
        self._kept: dict[tuple[str, str], str] = {}  # stamps of entries that were just read
        self._bare: set[str] = set()  # trials without predictions
        self._parts: dict[str, Any] = {}
        self._has_every_final = False
        # Entries that a child looks at, in their order; what it finds of them, and has found.
        self._named: Iterator[tuple[str, str]] = iter(())
        self._finding = looked_ahead(tuple, 0)
        self._found: dict[tuple[str, str], int | None] = {}
        self._began = time.time()
        self._opened = _opened(self._root)

    def __enter__(self) -> Records:
        return self

    def __exit__(self, *_: object) -> None:
        self._finding.close()  # and whoever still looks ends
        self._index.close()
        if self._opened is not None:
            os.close(self._opened)
            self._opened = None

    def trial(self, key: str, unread: list[str] | None = None) -> TrialResult | None:
        """Return the record of a trial; see ``store.trials.read_trial``."""
        known = self._known(TRIALS, key, _trial)
        if known is not None:
            return known
        found = read_trial(self.store, key, unread)
        if found is None:
            return None
        result, _ = found
        self._keep(TRIALS, key, vars(result))
        return result if self._genes else record_of(TrialResult, vars(result) | empty_of(TRIALS))

    def scores(self, key: str, unread: list[str] | None = None) -> TrialScores | None:
        """Return the scores of an entry; see ``store.trials.read_scores``."""
        known = self._known(SCORES, key, _scores)
        if known is not None:
            return known
        scores = read_scores(self.store, key, unread)
        if scores is None:
            return None
        self._keep(SCORES, key, vars(scores))
        return scores if self._genes else record_of(TrialScores, vars(scores) | empty_of(SCORES))

    def finals_ahead(self, some: Sequence[Mapping[str, Any]]) -> None:
        """Look what ``kept_final`` gives of these records of cells up at once."""
        self.read_ahead(FINALS, [_names_of(record) for record in some])
        self._has_every_final = False

    def every_final_ahead(self) -> None:
        """Look all of it up at once; of many, the files are looked at from now on."""
        if self._has_every_final:
            return
        self._has_every_final = True
        self._index.read_all(FINALS)
        every = self._index.keys(FINALS)
        self._let_look([(FINALS, names) for names in every], lambda: map(self._look, every))

    def kept_final(self, record: Mapping[str, Any]) -> TrialResult | None:
        """Return the result of a cell with its scores as it was kept, if no genes are wanted.

        It is the cell's where ``is_as_kept``.

        Parameters
        ----------
        record : mapping
            Of the cell.
        """
        if self._genes:
            return None

        def build(values: list[Any]) -> TrialResult:
            return unpacked(values, self._part)

        return self._index.record(FINALS, _names_of(record), lambda _: True, build)

    def is_as_kept(self, record: Mapping[str, Any]) -> bool:
        """Return whether the files of a cell are those of which ``kept_final`` was made."""
        names = _names_of(record)
        seen = self._seen_of(FINALS, names)
        if seen is None:
            seen = self._look(names)
        if seen == _SAME_AND_BARE:
            self._bare.add(record["final"])
        return seen != _OTHER

    def look_ahead(self, some: Sequence[Mapping[str, Any]]) -> bool:
        """Read all trials and scores of these records of cells; return whether that is done.

        Only where outcomes are wanted, which are small. Of many, the files are looked at meanwhile.
        """
        if not self._outcomes:
            return False
        for kind in (TRIALS, SCORES):
            self._index.read_all(kind)
        named = [entry for record in some for entry in _entries_of(record)]

        def look() -> Iterator[int]:
            for kind, key in named:
                stamp = self._index.stamp(kind, key)
                try:
                    same = stamp is not None and self._is_as(kind, key, stamp)
                except (OSError, ValueError):  # one is gone; somebody wrote into the index
                    same = False
                yield _SAME if same else _OTHER

        self._let_look(named, look)
        return True

    def _let_look(
        self, named: Sequence[tuple[str, str]], look: Callable[[], Iterator[int]]
    ) -> None:
        """Let a child look at these, whose number ``look`` yields of each, if they are many."""
        self._finding.close()
        self._named, self._finding = iter(named), looked_ahead(look, len(named))

    def _seen_of(self, kind: str, key: str) -> int | None:
        """Return what a child has found of an entry; ``None`` where none looked."""
        if (kind, key) not in self._found:
            for entry, found in zip(self._named, self._finding, strict=False):
                self._found[entry] = found
                if entry == (kind, key):
                    break
        return self._found.pop((kind, key), None)

    def _look(self, names: str) -> int:
        """Return whether the files of a cell's entries are as a row says, and none lacks."""
        stamp = self._index.stamp(FINALS, names)
        if stamp is None:
            return _OTHER
        of_trial, _, of_scores = stamp.partition(_BETWEEN)
        trial, _, scores = names.partition(" ")
        try:
            same = self._is_as(TRIALS, trial, of_trial) and (
                self._is_as(SCORES, scores, of_scores) if scores else not of_scores
            )
        except (OSError, ValueError):  # one is gone; somebody wrote into the index
            return _OTHER
        if not same:
            return _OTHER
        return _SAME_AND_BARE if _BARE in of_trial.split("\n") else _SAME

    def keep_final(self, record: Mapping[str, Any], result: TrialResult) -> None:
        """Keep the result of a cell, which was read of its trial and its scores.

        Parameters
        ----------
        record : mapping
            Of the cell.
        result : TrialResult
            With its scores, where the record names some.
        """
        if self._genes:
            return
        entries = [(TRIALS, record["final"]), (SCORES, record["scores"])]
        stamps = [
            self._kept.pop((kind, key), None) or self._stamp_of(kind, key)
            for kind, key in entries
            if key
        ]
        known = [stamp for stamp in stamps if stamp is not None]
        if len(known) < len(stamps):
            return
        try:
            text, parts = packed(result)
            new = {hashed: from_json(parts[hashed]) for hashed in parts.keys() - self._parts.keys()}
        except (ValueError, RecursionError):
            return  # half a letter, or lists too deep: what reads the rows takes less than JSON's
        self._index.keep_text(FINALS, _names_of(record), _BETWEEN.join(known), text)
        for hashed in new:
            self._index.keep_text(PARTS, hashed, "", parts[hashed])
        self._parts |= new

    def has_predictions(self, key: str) -> bool:
        """Whether the entry of a trial has predictions, by its files or as ``is_as_kept`` saw."""
        return key not in self._bare and self.store.has(TRIALS, key, PREDICTIONS)

    def _part(self, hashed: str) -> Any:
        if hashed not in self._parts:
            if not self._parts:
                self._index.read_all(PARTS)
            part = self._index.record(PARTS, hashed, lambda _: True, _dict)
            if part is None:
                raise KeyError(hashed)
            self._parts[hashed] = part
        return self._parts[hashed]

    def read_ahead(self, kind: str, keys: Sequence[str]) -> None:
        """Look the records of these entries up at once; those before are forgotten."""
        self._index.read_ahead(kind, keys)

    def cells(self) -> Sequence[CellFile]:
        """Return every file among the records of cells, in no order, as it was when first asked."""
        if self._cells is None:
            self._cells = list(self._every_cell())
            self._index.read_ahead(CELLS, [])  # nothing is asked of these rows again
        return self._cells

    def _every_cell(self) -> Iterator[CellFile]:
        try:
            there = [file for file in os.scandir(f"{self._root}/{CELLS}") if _is_record(file)]
        except OSError:
            return
        self._index.read_all(CELLS)
        for file in there:
            with suppress(OSError):  # taken away meanwhile, or a link in a circle
                yield self._cell(file.path, file.name, file.stat())

    def is_imported(self, cell: CellFile) -> bool:
        """Whether the result of a cell was made in another workspace."""
        return cell.record is not None and is_marked(
            self.store.folder(TRIALS, cell.record["final"])
        )

    def cell(self, path: Path) -> CellFile:
        """Read what may be the record of a cell; one that is gone, or no file, is none."""
        try:
            return self._cell(str(path), path.name, path.stat())
        except OSError:
            return CellFile(str(path), None, False, 0)

    def _cell(self, place: str, name: str, facts: os.stat_result) -> CellFile:
        stamp = stamp_of_file(name, facts)
        known = self._index.record(CELLS, name, lambda kept: kept == stamp, _cell)
        if known is not None:
            return CellFile(place, known, False, facts.st_mtime_ns)
        path = Path(place)
        record = read_cell(path)
        if record is None:
            return CellFile(place, None, is_earlier_cell(path), facts.st_mtime_ns)
        if self._settled([facts]) and stamp_of_file(name, path.stat()) == stamp:
            self._index.keep(CELLS, name, stamp, record)
        return CellFile(place, record, False, facts.st_mtime_ns)

    def _known(self, kind: str, key: str, build: Callable[[dict[str, Any]], _T]) -> _T | None:
        seen = self._seen_of(kind, key)
        is_same = None if seen is None else seen != _OTHER
        return self._index.record(
            kind, key, lambda stamp: self._is_as(kind, key, stamp), build, is_same
        )

    def _is_as(self, kind: str, key: str, stamp: str) -> bool:
        within = f"{kind}/{key[:2]}/{key}"
        if self._opened is None:
            return is_as(f"{self._root}/{within}", stamp)
        return is_as(within, stamp, self._opened)

    def _place(self, kind: str, key: str) -> str:
        return f"{self._root}/{kind}/{key[:2]}/{key}"

    def _keep(self, kind: str, key: str, record: dict[str, Any]) -> None:
        stamp = self._stamp_of(kind, key)
        if stamp is not None:
            self._index.keep(kind, key, stamp, record)
            if not self._genes:
                self._kept[kind, key] = stamp

    def _stamp_of(self, kind: str, key: str) -> str | None:
        """Return the stamp of an entry that was read; ``None`` where it may have changed since."""
        folder = self._place(kind, key)
        try:
            manifest = read_json(Path(folder, MANIFEST))
            # Maps look for predictions whether or not the manifest names them.
            looked_for = {PREDICTIONS} if kind == TRIALS else set[str]()
            names = sorted({*manifest["files"], MANIFEST, MARK, *looked_for})
            stamp, facts = stamp_of(folder, names)
        except (OSError, ValueError, KeyError, TypeError):
            return None  # it goes away just now
        return stamp if self._settled(facts) and names_in(stamp) == names else None

    def _settled(self, facts: Sequence[os.stat_result]) -> bool:
        """Whether files were there for long before they were read: so what was read is theirs."""
        return all(each.st_ctime < self._began - _YOUNG for each in facts)


def _names_of(record: Mapping[str, Any]) -> str:
    """Return what names the row of a cell's result: its trial and its scores."""
    return f"{record['final']} {record['scores']}"


def _entries_of(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what the record of a cell names, as it is asked for."""
    yield TRIALS, record["final"]
    if record["scores"]:
        yield SCORES, record["scores"]
    for key in record["search"]:
        yield TRIALS, key


def _opened(folder: str) -> int | None:
    """Open a folder; ``None`` where the system has no such thing, or there is none."""
    if not {os.stat, os.access} <= os.supports_dir_fd:
        return None
    with suppress(OSError):
        return os.open(folder, os.O_RDONLY)
    return None


def _trial(known: dict[str, Any]) -> TrialResult:
    if "curves" not in known:  # of an outcome
        return TrialResult(**known)
    known["curves"] = {
        name: [(step, value) for step, value in points] for name, points in known["curves"].items()
    }
    return record_of(TrialResult, known)


def _scores(known: dict[str, Any]) -> TrialScores:
    if "scores" not in known and "status" in known:  # of an outcome
        return TrialScores(**known)
    return record_of(TrialScores, known)


def _dict(known: dict[str, Any]) -> dict[str, Any]:
    return known | {}  # a list, which has no such operation, is none


def _cell(known: dict[str, Any]) -> dict[str, Any]:
    record = {name: known[name] for name in ("cell", "final", "search", "scores", "figures")}
    return record | {name: known[name] for name in (*MADE_OF, BY_HAND, WRITTEN) if name in known}


def _is_record(file: os.DirEntry[str]) -> bool:
    return file.name.endswith(".json")
