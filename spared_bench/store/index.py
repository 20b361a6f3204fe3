"""What the small records of a store said, in one SQLite file beside them.

A store of many thousand results has some files of each, and reading and checking them all takes
most of the time of ``status`` and of a board. The index keeps every record as it was read, with
name, size and time of change of each file of its entry. It is believed while these are as they
were, and what differs is read from the store, which stays the truth: the index may be deleted at
any time, and one that is damaged, or of other code, is made anew. What grows with genes and steps
stands beside the rest of a record, and is read where it is wanted.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import fields
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic_core import from_json

from spared_bench.results import TrialResult, TrialScores, record_of
from spared_bench.store.entries import MANIFEST, Store
from spared_bench.store.imports import MARK
from spared_bench.store.trials import (
    SCORES,
    TRIALS,
    is_earlier_cell,
    read_cell,
    read_scores,
    read_trial,
)

INDEX = "index.sqlite"
CELLS = "cells"
_FORM = 3  # of what is kept; another one makes it anew, as other fields of the records do
_YOUNG = 2.0  # seconds: a file that is younger could change again with no new time
_WAIT = 2.0  # seconds for another process that writes
_MAPPED = 2**30  # bytes of the file that are read in place
_MOST_KEYS = 500  # in one question
_NO_FILE = "-"
_RECORDS, _OUTCOMES = "records", "outcomes"  # the tables
_TABLE = """CREATE TABLE IF NOT EXISTS {}
    (kind TEXT, key TEXT, stamp TEXT, record TEXT, long TEXT, PRIMARY KEY (kind, key))"""
_SELECT = "SELECT key, stamp, record, {} FROM {} WHERE kind = ?"
_INSERT = "INSERT OR REPLACE INTO {} VALUES (?, ?, ?, ?, ?)"
_NOTHING = "{}"
#: What grows with genes, steps and calls, and no board shows: it is kept apart, and read if asked.
_LONG: dict[str, dict[str, type]] = {
    TRIALS: {
        **{"gene_scores": dict, "genes": list, "gene_symbols": list},
        **{"curves": dict, "traceback": str},
    },
    SCORES: {"gene_scores": dict, "traceback": str},
}
#: What a list of trials shows of each, in a table of its own, which is read far sooner.
_SHOWN: dict[str, tuple[str, ...]] = {
    TRIALS: (
        *("key", "status", "protocol", "dataset", "completer", "predictor", "seed"),
        *("message", "facts"),
    ),
    SCORES: ("status", "message"),
}
_SHOWN_FACTS = ("quarantined",)
_T = TypeVar("_T")
_Row = list[str]  # stamp, record, and what of it is long


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
        self._index = _Index(store.root, outcomes, genes)
        self._cells: list[CellFile] | None = None
        self._began = time.time()

    def __enter__(self) -> Records:
        return self

    def __exit__(self, *_: object) -> None:
        self._index.close()

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
        return result if self._genes else record_of(TrialResult, vars(result) | _empty(TRIALS))

    def scores(self, key: str, unread: list[str] | None = None) -> TrialScores | None:
        """Return the scores of an entry; see ``store.trials.read_scores``."""
        known = self._known(SCORES, key, _scores)
        if known is not None:
            return known
        scores = read_scores(self.store, key, unread)
        if scores is None:
            return None
        self._keep(SCORES, key, vars(scores))
        return scores if self._genes else record_of(TrialScores, vars(scores) | _empty(SCORES))

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
            with suppress(FileNotFoundError):  # taken away meanwhile
                yield self._cell(file.path, file.name, file.stat())

    def cell(self, path: Path) -> CellFile:
        """Read what may be the record of a cell; one that is gone is none."""
        try:
            return self._cell(str(path), path.name, path.stat())
        except FileNotFoundError:
            return CellFile(str(path), None, False, 0)

    def _cell(self, place: str, name: str, facts: os.stat_result) -> CellFile:
        stamp = _stamp_of(name, facts)
        known = self._index.record(CELLS, name, lambda kept: kept == stamp, _cell)
        if known is not None:
            return CellFile(place, known, False, facts.st_mtime_ns)
        path = Path(place)
        record = read_cell(path)
        if record is None:
            return CellFile(place, None, is_earlier_cell(path), facts.st_mtime_ns)
        if self._settled([facts]) and _stamp_of(name, path.stat()) == stamp:
            self._index.keep(CELLS, name, stamp, record)
        return CellFile(place, record, False, facts.st_mtime_ns)

    def _known(self, kind: str, key: str, build: Callable[[dict[str, Any]], _T]) -> _T | None:
        folder = f"{self._root}/{kind}/{key[:2]}/{key}"
        return self._index.record(kind, key, lambda stamp: _is_as(folder, stamp), build)

    def _keep(self, kind: str, key: str, record: dict[str, Any]) -> None:
        folder = self.store.folder(kind, key)
        try:
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            names = sorted([*manifest["files"], MANIFEST, MARK])
            stamp, facts = _stamp(str(folder), names)
        except (OSError, ValueError, KeyError, TypeError):
            return  # it goes away just now
        if self._settled(facts) and _names_in(stamp) == names:
            self._index.keep(kind, key, stamp, record)

    def _settled(self, facts: Sequence[os.stat_result]) -> bool:
        """Whether files were there for long before they were read: so what was read is theirs."""
        return all(each.st_ctime < self._began - _YOUNG for each in facts)


def _trial(known: dict[str, Any]) -> TrialResult:
    if "curves" not in known:  # of an outcome
        return TrialResult(**known)
    known["curves"] = {
        name: [(step, value) for step, value in points] for name, points in known["curves"].items()
    }
    return record_of(TrialResult, known)


def _scores(known: dict[str, Any]) -> TrialScores:
    if "scores" not in known:  # of an outcome
        return TrialScores(**known)
    return record_of(TrialScores, known)


def _empty(kind: str) -> dict[str, Any]:
    """Return what stands for the long fields of a record where they are not wanted."""
    return {name: type_() for name, type_ in _LONG.get(kind, {}).items()}


def _cell(known: dict[str, Any]) -> dict[str, Any]:
    return {name: known[name] for name in ("cell", "final", "search", "scores", "figures")}


def _is_record(file: os.DirEntry[str]) -> bool:
    return file.name.endswith(".json")


def _stamp_of(name: str, facts: os.stat_result) -> str:
    # The time of the last change of any kind, which no program can set as it likes.
    return f"{name}\t{facts.st_size}\t{facts.st_ctime_ns}"


def _stamp(folder: str, names: Sequence[str]) -> tuple[str, list[os.stat_result]]:
    """Return names, sizes and times of files, one a line, and what the system says of them."""
    lines, found = [], []
    for name in names:
        path = f"{folder}/{name}"  # one text: a path of its own takes longer, as an error does
        if name == MARK and not os.access(path, os.F_OK):
            lines.append(_missing(name))
            continue
        try:
            facts = os.stat(path)  # noqa: PTH116
        except FileNotFoundError:
            lines.append(_missing(name))
        else:
            lines.append(_stamp_of(name, facts))
            found.append(facts)
    return "\n".join(lines), found


def _is_as(folder: str, stamp: str) -> bool:
    """Return whether the files of a stamp are as it says; the first that is not ends the look."""
    for line in stamp.split("\n"):
        name, size, changed = line.split("\t")
        path = f"{folder}/{name}"
        if size == _NO_FILE:
            if os.access(path, os.F_OK):
                return False
            continue
        facts = os.stat(path)  # noqa: PTH116
        if facts.st_size != int(size) or facts.st_ctime_ns != int(changed):
            return False
    return True


def _missing(name: str) -> str:
    return f"{name}\t{_NO_FILE}\t{_NO_FILE}"


def _names_in(stamp: str) -> list[str]:
    return [line.partition("\t")[0] for line in stamp.split("\n")]


class _Index:
    """The rows of the file; without effect where there can be none.

    It only saves time, so no fault of its own is an error: it is left aside, or made anew.
    """

    def __init__(self, root: Path, outcomes: bool, genes: bool) -> None:
        self._path = root / INDEX
        self._outcomes, self._genes = outcomes, genes
        self._new: dict[str, list[tuple[str, str, str, str, str]]] = {_RECORDS: [], _OUTCOMES: []}
        self._ahead: dict[str, dict[str, _Row | None]] = {}
        self._rows: sqlite3.Connection | None = None
        self._damaged = False
        if self._path.is_file():
            self._rows = self._tried(self._open)

    def record(
        self,
        kind: str,
        key: str,
        unchanged: Callable[[str], bool],
        build: Callable[[dict[str, Any]], _T],
    ) -> _T | None:
        """Return what is built of a record that was kept, if its stamp is still the same.

        ``unchanged`` is given the stamp that was kept.
        """
        ahead = self._ahead.get(kind, {})
        row = ahead[key] if key in ahead else self._row(kind, key)
        try:
            if row is None or not unchanged(row[0]):
                return None
            known = from_json(row[1])
            if kind in _LONG and not self._outcomes:
                known |= from_json(row[2]) if self._genes else _empty(kind)
            return build(known)
        except (TypeError, ValueError, KeyError, AttributeError, OSError):
            return None  # somebody wrote into it

    def read_all(self, kind: str) -> None:
        """Read all rows of a kind, of which every one is going to be asked for."""
        found = self._rows_of(kind)
        self._ahead[kind] = {key: row for key, *row in found}

    def read_ahead(self, kind: str, keys: Sequence[str]) -> None:
        """Read the rows of these keys, which are the next that are asked for."""
        ahead: dict[str, _Row | None] = dict.fromkeys(keys)
        for start in range(0, len(keys), _MOST_KEYS):
            some = keys[start : start + _MOST_KEYS]
            which = f" AND key IN ({', '.join('?' * len(some))})"
            ahead |= {key: row for key, *row in self._rows_of(kind, which, some)}
        self._ahead[kind] = ahead

    def _rows_of(
        self, kind: str, which: str = "", keys: Sequence[str] = ()
    ) -> list[tuple[str, str, str, str]]:
        rows = self._rows
        if rows is None:
            return []
        table = _OUTCOMES if self._outcomes and kind in _SHOWN else _RECORDS
        query = _SELECT.format("long" if self._genes else f"'{_NOTHING}'", table) + which
        return self._tried(lambda: rows.execute(query, [kind, *keys]).fetchall()) or []

    def _row(self, kind: str, key: str) -> _Row | None:
        for _, *row in self._rows_of(kind, " AND key = ?", [key]):
            return row
        return None

    def keep(self, kind: str, key: str, stamp: str, record: Mapping[str, Any]) -> None:
        """Keep a record, once the index is closed."""
        apart = {name: record[name] for name in _LONG.get(kind, ())}
        rest = {name: value for name, value in record.items() if name not in apart}
        self._new[_RECORDS].append((kind, key, stamp, json.dumps(rest), json.dumps(apart)))
        if kind in _SHOWN:
            shown = json.dumps(_outcome(kind, record))
            self._new[_OUTCOMES].append((kind, key, stamp, shown, _NOTHING))

    def close(self) -> None:
        """Write what is to be kept."""
        if self._rows is not None:
            self._rows.close()
        if self._new[_RECORDS] and (self._path.is_file() or not self._path.exists()):
            self._tried(self._write)

    def _open(self) -> sqlite3.Connection:
        rows = sqlite3.connect(self._path, timeout=_WAIT)
        try:
            if rows.execute("PRAGMA user_version").fetchone()[0] == _form():
                rows.execute(f"PRAGMA mmap_size = {_MAPPED}")
                return rows
            raise sqlite3.DatabaseError("of other code")
        except BaseException:
            rows.close()
            raise

    def _write(self) -> None:
        if self._damaged:
            self._path.unlink()
        with closing(sqlite3.connect(self._path, timeout=_WAIT)) as rows, rows:
            rows.execute(f"PRAGMA user_version = {_form()}")
            for table, new in self._new.items():
                rows.execute(_TABLE.format(table))
                rows.executemany(_INSERT.format(table), new)

    def _tried(self, do: Callable[[], _T]) -> _T | None:
        try:
            return do()
        except sqlite3.Error as error:
            # Another process writes, or nobody may: these are operational, as is a lack of columns.
            self._damaged |= not isinstance(error, sqlite3.OperationalError)
            self._damaged |= "no such" in str(error)
            return None
        except OSError:
            return None


def _outcome(kind: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is shown of a record in a list."""
    outcome = {name: record[name] for name in _SHOWN[kind]}
    if facts := outcome.get("facts"):
        outcome["facts"] = {name: facts[name] for name in _SHOWN_FACTS if name in facts}
    return outcome


def forget_index(store: Store) -> None:
    """Take the index away, with rows of entries that are no more; the next reader makes it anew."""
    with suppress(OSError):
        (store.root / INDEX).unlink(missing_ok=True)


@cache
def _form() -> int:
    """Return what stands for the form of the rows: another one where records have other fields."""
    names = [field.name for kind in (TrialResult, TrialScores) for field in fields(kind)]
    return int.from_bytes(sha256(f"{_FORM} {names}".encode()).digest()[:4], "big") >> 1
