"""What the small records of a store said, in one SQLite file beside them.

A store of many thousand results has some files of each, and reading and checking them all takes
most of the time of ``status`` and of a board. The index keeps every record as it was read, with
name, size and time of change of each file of its entry. It is believed while these are as they
were, and what differs is read from the store, which stays the truth: the index may be deleted at
any time, and one that is damaged, or of other code, is made anew. What grows with genes and steps
stands beside the rest of a record, and is read where it is wanted. For a board, the index also
keeps what it shows of each cell, a trial with its scores, under the stamps of both (``finals``).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import fields
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar
from zlib import crc32

from pydantic_core import from_json

from spared_bench.keys.hashing import file_digest
from spared_bench.results import IMPORTED, TrialResult, TrialScores
from spared_bench.store.entries import Store
from spared_bench.store.trials import SCORES, TRIALS

INDEX = "index.sqlite"
CELLS = "cells"
#: Kinds of rows that are of no single record: results of cells, and what many of these share.
FINALS, PARTS = "finals", "parts"
_FORM = 7  # of what is kept; another one makes it anew, as other fields of the records do
_WAIT = 2.0  # seconds for another process that writes
_MOST_KEYS = 500  # in one question
_RECORDS, _OUTCOMES, _FINALS = "records", "outcomes", "finals"  # the tables
_TABLE = """CREATE TABLE IF NOT EXISTS {}
    (kind TEXT, key TEXT, stamp TEXT, record TEXT, long TEXT, PRIMARY KEY (kind, key))"""
_SELECT = "SELECT key, stamp, record, {} FROM {} WHERE kind = ?"
_INSERT = "INSERT OR REPLACE INTO {} VALUES (?, ?, ?, ?, ?)"
_NOTHING = "{}"
_SUM_BYTES = 9  # of a check sum behind a text
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
_SHOWN_FACTS = ("quarantined", IMPORTED)
_T = TypeVar("_T")
_Row = list[bytes]  # stamp, record, and what of it is long


class Index:
    """The rows of the file; without effect where there can be none.

    It only saves time, so no fault of its own is an error: it is left aside, or made anew.
    """

    def __init__(self, root: Path, outcomes: bool, genes: bool) -> None:
        self._path = root / INDEX
        self._outcomes, self._genes = outcomes, genes
        self._new: dict[str, list[tuple[str, str, str, str, str]]] = {
            table: [] for table in (_RECORDS, _OUTCOMES, _FINALS)
        }
        self._ahead: dict[str, dict[bytes, _Row | None]] = {}
        self._rows: sqlite3.Connection | None = None
        self._damaged = False
        if self._path.is_file():
            self._rows = self._tried(self._open)

    def record(
        self,
        kind: str,
        key: str,
        unchanged: Callable[[str], bool],
        build: Callable[[Any], _T],
        is_same: bool | None = None,
    ) -> _T | None:
        """Return what is built of a record that was kept, if its stamp is still the same.

        ``unchanged`` is given the stamp that was kept; it is not asked where ``is_same`` says so.
        """
        try:
            row = self._kept(kind, key)
            if row is None or is_same is False:
                return None
            stamp = _checked(kind, key, row[1], row[0])
            if is_same is None and not unchanged(stamp.decode()):
                return None
            known = from_json(row[1])
            if kind in _LONG and not self._outcomes:
                known |= (
                    from_json(_checked(kind, key, b"", row[2])) if self._genes else empty_of(kind)
                )
            return build(known)
        except (TypeError, ValueError, KeyError, AttributeError, OSError):
            return None  # somebody wrote into it

    def stamp(self, kind: str, key: str) -> str | None:
        """Return the stamp of a row that was read ahead; ``None`` where there is none.

        It is not checked: ``record`` does that before the row is believed.
        """
        row = self._ahead.get(kind, {}).get(_bytes(key))
        return None if row is None else row[0][:-_SUM_BYTES].decode(errors="replace")

    def keys(self, kind: str) -> list[str]:
        """Return the keys of the rows that were read ahead."""
        return [key.decode(errors="surrogatepass") for key in self._ahead.get(kind, {})]

    def read_all(self, kind: str) -> None:
        """Read all rows of a kind, of which every one is going to be asked for."""
        found = self._rows_of(kind)
        self._ahead[kind] = {key: row for key, *row in found}

    def read_ahead(self, kind: str, keys: Sequence[str]) -> None:
        """Read the rows of these keys, which are the next that are asked for."""
        ahead: dict[bytes, _Row | None] = {_bytes(key): None for key in keys}
        for start in range(0, len(keys), _MOST_KEYS):
            some = keys[start : start + _MOST_KEYS]
            which = f" AND key IN ({', '.join('?' * len(some))})"
            ahead |= {key: row for key, *row in self._rows_of(kind, which, some)}
        self._ahead[kind] = ahead

    def _rows_of(
        self, kind: str, which: str = "", keys: Sequence[str] = ()
    ) -> list[tuple[bytes, bytes, bytes, bytes]]:
        rows = self._rows
        if rows is None:
            return []
        long = "long" if self._genes else f"'{_NOTHING}'"
        query = _SELECT.format(long, self._table(kind)) + which
        return self._tried(lambda: rows.execute(query, [kind, *keys]).fetchall()) or []

    def _table(self, kind: str) -> str:
        if kind in (FINALS, PARTS):
            return _FINALS
        return _OUTCOMES if self._outcomes and kind in _SHOWN else _RECORDS

    def _kept(self, kind: str, key: str) -> _Row | None:
        ahead, name = self._ahead.get(kind, {}), _bytes(key)
        return ahead[name] if name in ahead else self._row(kind, key)

    def _row(self, kind: str, key: str) -> _Row | None:
        for _, *row in self._rows_of(kind, " AND key = ?", [key]):
            return row
        return None

    def keep(self, kind: str, key: str, stamp: str, record: Mapping[str, Any]) -> None:
        """Keep a record, once the index is closed."""
        apart = {name: record[name] for name in _LONG.get(kind, ())}
        rest = {name: value for name, value in record.items() if name not in apart}
        long = _summed(kind, key, "", json.dumps(apart))
        self._add(_RECORDS, kind, key, stamp, json.dumps(rest), long)
        if kind in _SHOWN:
            self._add(_OUTCOMES, kind, key, stamp, json.dumps(_outcome(kind, record)))

    def keep_text(self, kind: str, key: str, stamp: str, text: str) -> None:
        """Keep a row of ``FINALS`` or ``PARTS``, once the index is closed."""
        self._add(_FINALS, kind, key, stamp, text)

    def _add(
        self, table: str, kind: str, key: str, stamp: str, text: str, long: str = _NOTHING
    ) -> None:
        self._new[table].append((kind, key, _summed(kind, key, text, stamp), text, long))

    def close(self) -> None:
        """Write what is to be kept."""
        if self._rows is not None:
            self._rows.close()
        if any(self._new.values()) and (self._path.is_file() or not self._path.exists()):
            self._tried(self._write)

    def _open(self) -> sqlite3.Connection:
        rows = sqlite3.connect(self._path, timeout=_WAIT)
        try:
            if rows.execute("PRAGMA user_version").fetchone()[0] == _form():
                # Nothing of it in memory: a process ends where such a file is cut meanwhile.
                rows.execute("PRAGMA mmap_size = 0")
                rows.text_factory = bytes  # as check sums and the reader of JSON take them
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


def _summed(kind: str, key: str, beside: str, text: str) -> str:
    """Return a text with a check sum of it, of what stands beside it, and of its place."""
    return text + _sum(kind, key, _bytes(beside), _bytes(text)).decode()


def _sum(kind: str, key: str, beside: bytes, text: bytes) -> bytes:
    known = crc32(b" %b " % beside, crc32(_bytes(f"{kind} {key}")))
    return b"\v%08x" % crc32(text, known)


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")  # names of files may hold half a letter


def _checked(kind: str, key: str, beside: bytes, summed: bytes) -> bytes:
    """Return the text of which ``_summed`` made one; a disk may have turned a digit of either.

    Raises
    ------
    ValueError
        If it is another, or stands in another place.
    """
    text = summed[:-_SUM_BYTES]
    if _sum(kind, key, beside, text) != summed[-_SUM_BYTES:]:
        raise ValueError("it is not what was written")
    return text


def _outcome(kind: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is shown of a record in a list."""
    outcome = {name: record[name] for name in _SHOWN[kind]}
    if facts := outcome.get("facts"):
        outcome["facts"] = {name: facts[name] for name in _SHOWN_FACTS if name in facts}
    return outcome


def empty_of(kind: str) -> dict[str, Any]:
    """Return what stands for the long fields of a record where they are not wanted."""
    return {name: type_() for name, type_ in _LONG.get(kind, {}).items()}


def forget_index(store: Store) -> None:
    """Take the index away, with rows of entries that are no more; the next reader makes it anew."""
    with suppress(OSError):
        (store.root / INDEX).unlink(missing_ok=True)


@cache
def _form() -> int:
    """Return what stands for the form of the rows: another one where records have other fields.

    Or other code, which puts a trial and its scores together.
    """
    names = [field.name for kind in (TrialResult, TrialScores) for field in fields(kind)]
    code = file_digest(Path(__file__).parents[1] / "results.py")
    return int.from_bytes(sha256(f"{_FORM} {names} {code}".encode()).digest()[:4], "big") >> 1
