"""What an archive says of results: which of them counts for a cell, and how they look."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from spared_bench.errors import CorruptEntryError
from spared_bench.store.entries import Entry, Store
from spared_bench.store.imports import read_mark
from spared_bench.store.trials import FIGURES, RESULT, SCORES, TRIALS, read_cell, trial_of

_OF_SLIDES = ("checks", "facts", "pictures")


def adopt_cells(store: Store, arrived: Path) -> None:
    """Take over which results count, of results that have come; nothing else is theirs to say.

    A record is in no entry and bears no mark. One that named a result of this workspace could
    choose among these, or put the scores of one under the name of another.

    Parameters
    ----------
    store : Store
        Into which the entries of the archive were taken before.
    arrived : Path
        Folder of the records; those taken over are moved away.
    """
    left = 0
    for path in sorted(arrived.glob("*.json")):
        record = read_cell(path)
        target = store.root / "cells" / path.name
        if target.exists():
            continue
        if record is None or not _is_of_imported(store, record):
            left += 1
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    if left:
        print(
            f"{left} records of cells are left out: they do not name an imported result of that"
            " cell. If their results were made here, the same run finds them again.",
            file=sys.stderr,
        )


def _is_of_imported(store: Store, record: dict[str, Any]) -> bool:
    """Whether a record is of an imported trial, its scores and figures."""
    try:
        trial = store.open(TRIALS, record["final"])
        if trial is None or read_mark(trial.folder) is None:
            return False
        if (trial.folder / RESULT).is_file() and _names(trial) != record["cell"]:
            return False
        parts = ((SCORES, record["scores"]), (FIGURES, record["figures"]))
        found = [store.open(kind, key) for kind, key in parts if key]
    except (CorruptEntryError, OSError):
        return False
    return all(part is None or part.inputs.get("trial") == trial.key for part in found)


def _names(trial: Entry) -> list[Any]:
    """Return what a record of a cell calls the cell of a trial."""
    said = trial_of(trial)
    return [said.protocol, said.dataset, said.completer, said.predictor, said.seed]


def is_to_be_made_here(store: Store, entry: Entry) -> bool:
    """Whether an entry would be shown without its mark, and takes seconds to be made.

    Checks, pictures and sizes of slides that are here, and figures of a trial that was not
    imported: whoever sees them takes them for this workspace's own.
    """
    if entry.kind in _OF_SLIDES:
        return True
    if entry.kind != FIGURES:
        return False
    trial = store.folder(TRIALS, str(entry.inputs.get("trial", "")))
    return read_mark(trial) is None
