"""What the entries of a trial hold: the names of their files, and how they are read."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from spared_bench.errors import CorruptEntryError
from spared_bench.files import write_text
from spared_bench.keys.hashing import digest
from spared_bench.ordinary import read_json
from spared_bench.results import (
    BY_HAND,
    IMPORTED,
    ORIGIN,
    UNLISTED,
    UNSCORED,
    TrialResult,
    TrialScores,
)
from spared_bench.store.entries import Entry, Store
from spared_bench.store.imports import stations_of

#: Kinds of entries.
TRIALS = "trials"
SCORES = "scores"
FIGURES = "figures"
#: Files of a trial.
RESULT = "result.json"
PREDICTIONS = "predictions.npz"
APPLICATION = "application.json"
MODEL = "model"  # a folder
#: Files of its scores.
SCORE_RECORD = "scores.json"
GENES = "genes.csv"
#: Files of its figures; the last two for methods that predict variances, and classes.
FIGURE = "expression_map.png"
CALIBRATION = "calibration.png"
CONFUSION = "confusion.png"
#: What no record can say of itself.
_NOT_ITS_OWN = (IMPORTED, ORIGIN, UNLISTED, UNSCORED, BY_HAND)

_T = TypeVar("_T")


def read_trial(
    store: Store, key: str, unread: list[str] | None = None
) -> tuple[TrialResult, Entry] | None:
    """Return the record of a trial and its entry; ``None`` for none and for a damaged one.

    Parameters
    ----------
    store : Store
    key : str
    unread : list of str, optional
        Takes a sentence for one that is there and cannot be read. Without it, what is not damaged
        and yet cannot be read, such as a file of somebody else, is an error.
    """
    return _read(store, TRIALS, key, lambda entry: (trial_of(entry), entry), unread)


def trials_beginning(store: Store, start: str) -> Iterator[tuple[TrialResult, Entry]]:
    """Yield every trial whose key begins so, also of searches, studies and earlier code.

    Parameters
    ----------
    store : Store
    start : str
        Of what can be no key, there is none.
    """
    if not start.isalnum():
        return
    for folder in sorted((store.root / TRIALS).glob(f"{start[:2]}*/{start}*")):
        found = read_trial(store, folder.name)
        if found is not None:
            yield found


def read_scores(store: Store, key: str, unread: list[str] | None = None) -> TrialScores | None:
    """Return the scores of an entry; ``None`` for none and for a damaged one.

    Parameters
    ----------
    store : Store
    key : str
    unread : list of str, optional
        As ``read_trial`` takes it.
    """
    return _read(store, SCORES, key, scores_of, unread)


def _read(
    store: Store, kind: str, key: str, read: Callable[[Entry], _T], unread: list[str] | None
) -> _T | None:
    try:
        entry = store.open(kind, key)
        if entry is None:
            return None
        if not _is_of_its_key(entry):
            raise CorruptEntryError(
                f"{entry.folder} was made from other inputs than its key says. Remove that folder;"
                " it will be made again."
            )
        return read(entry)
    except CorruptEntryError as error:
        damage: Exception = error
    except OSError as error:
        if unread is None:
            raise
        damage = error
    if unread is not None:
        unread.append(f"{kind}/{key[:12]} cannot be read and is left out: {damage}")
    return None


def _is_of_its_key(entry: Entry) -> bool:
    """Whether an entry lies where it was made, and not in the folder of another one."""
    try:
        return digest(entry.inputs) == entry.key
    except ValueError:  # nan, which no inputs have
        return False


def trial_of(entry: Entry) -> TrialResult:
    """Read the record of a trial; what it says of its own origin is left aside.

    Raises
    ------
    CorruptEntryError
        If there is none, or it is no record of a trial.
    """
    result = _record(entry, RESULT, TrialResult.from_dict)
    facts = {name: said for name, said in result.facts.items() if name not in _NOT_ITS_OWN}
    if stations := stations_of(entry.folder):
        facts[IMPORTED] = stations
    return replace(result, facts=facts)


def scores_of(entry: Entry) -> TrialScores:
    """Read the scores of a trial.

    Raises
    ------
    CorruptEntryError
        If there are none, or they are no scores.
    """
    scores = _record(entry, SCORE_RECORD, TrialScores.from_dict)
    return replace(scores, imported=stations_of(entry.folder))


def check_record(entry: Entry) -> None:
    """Raise ``CorruptEntryError`` if the record that an entry has is none of its kind."""
    if entry.kind == TRIALS and (entry.folder / RESULT).is_file():
        trial_of(entry)
    elif entry.kind == SCORES and (entry.folder / SCORE_RECORD).is_file():
        scores_of(entry)


def _record(entry: Entry, name: str, read: Callable[[Any], _T]) -> _T:
    values = entry.read_json(name)
    try:
        return read(values)
    except (ValueError, RecursionError) as error:
        raise CorruptEntryError(
            f"{entry.folder} is damaged ({name}: {error}). Remove that folder; it will be made"
            " again."
        ) from error


def is_earlier_cell(path: Path) -> bool:
    """Return whether a record is one of the version in which scores were part of a trial."""
    try:
        record = read_json(path)
        return {"cell", "final", "search"} <= set(record) and "scores" not in record
    except (OSError, ValueError, TypeError, RecursionError):
        return False


#: In a cell's record: the hash of the settings that its protocol had (``Protocol.hash_of_a_seed``).
SETTINGS = "settings"
#: And that of the data of its dataset (``Bench.data_hash``).
DATA = "data"
#: And that of the code which prepared and scored it (``Bench.measuring_code``).
MEASURED_BY = "measured_by"
#: And when it was written, in nanoseconds: the time of the file is lost where it is copied.
WRITTEN = "written"
#: What it says for comparisons (``spared_bench.trials.outdated``).
MADE_OF = (SETTINGS, DATA, MEASURED_BY)


def write_cell(path: Path, record: Mapping[str, Any], *, after: int = 0) -> None:
    """Write the record of a cell, and when: later than ``after``, whatever the clock says."""
    text = json.dumps({**record, WRITTEN: max(time.time_ns(), after + 1)}, indent=1)
    write_text(path, text, sync=False)


def read_cell(path: Path) -> dict[str, Any] | None:
    """Return the record of a cell (``spared_bench.trials.cells``).

    ``None`` for what is none, for one of a version in which scores were part of a trial, and for
    one that was given another cell than the file is named after.
    """
    try:
        record = read_json(path)
        names, keys = record["cell"], [record["final"], *record["search"]]
        *named, seed = names
        made = [record["scores"], record["figures"]]  # keys, too, or empty
        sound = all(isinstance(text, str) for text in [*named, *made, *keys])
        sound = sound and len(named) == 4 and isinstance(seed, int)
        sound = sound and path.stem == digest(names)
        sound = sound and all(key.isalnum() for key in [*keys, *filter(None, made)])
        sound = sound and all(name.isprintable() for name in named)  # none is a terminal's order
        sound = sound and isinstance(record.get(BY_HAND, {}), dict)
        sound = sound and type(record.get(WRITTEN, 0)) is int
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return None
    return record if sound else None
