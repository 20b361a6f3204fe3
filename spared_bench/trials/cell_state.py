"""Whether anything that finished cells say has changed, told without reading a trial."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spared_bench.keys.hashing import digest
from spared_bench.store.entries import MANIFEST, Store
from spared_bench.store.trials import (
    FIGURES,
    PREDICTIONS,
    RESULT,
    SCORE_RECORD,
    SCORES,
    TRIALS,
    read_cell,
)

_FILES = (
    *((TRIALS, "final", (MANIFEST, RESULT, PREDICTIONS)), (TRIALS, "search", (MANIFEST, RESULT))),
    *((SCORES, "scores", (MANIFEST, SCORE_RECORD)), (FIGURES, "figures", (MANIFEST,))),
)


def state_of_cells(store: Store, protocol: str) -> str:
    """Return a hash that changes when a finished cell of a protocol, or a file of it, does.

    Parameters
    ----------
    store : Store
    protocol : str
        ``"demo@1"``.

    Returns
    -------
    str
        Of the records, and of the times and sizes of the files that they name.
    """
    found: list[Any] = []
    for path in sorted((store.root / "cells").glob("*.json")):
        record = read_cell(path)
        if record is None or record["cell"][0] == protocol:
            # The one that was written last says which data count (``trials.outdated``).
            found.append([path.name, change_of(path), record, _files(store, record or {})])
    return digest(found)


def _files(store: Store, record: dict[str, Any]) -> list[Any]:
    found = []
    for kind, field, names in _FILES:
        keys = record.get(field) or []
        for key in [keys] if isinstance(keys, str) else keys:
            folder = store.folder(kind, key)
            found.append([change_of(folder), *(change_of(folder / name) for name in names)])
    return found


def change_of(path: Path) -> list[int] | None:
    """Return when a file or folder was last changed (ns), and its size; ``None`` if it is gone."""
    try:
        told = path.stat()
    except OSError:
        return None
    return [told.st_mtime_ns, told.st_size]
