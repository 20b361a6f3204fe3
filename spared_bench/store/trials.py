"""What the entries of a trial hold: the names of their files, and how they are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from spared_bench.errors import CorruptEntryError
from spared_bench.results import TrialResult, TrialScores
from spared_bench.store.entries import Entry, Store

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
#: File of its figures.
FIGURE = "expression_map.png"


def read_trial(store: Store, key: str) -> tuple[TrialResult, Entry] | None:
    """Return the record of a trial and its entry; ``None`` for none and for a damaged one."""
    try:
        entry = store.open(TRIALS, key)
        return None if entry is None else (TrialResult.from_dict(entry.read_json(RESULT)), entry)
    except (CorruptEntryError, ValueError):
        return None


def read_scores(store: Store, key: str) -> TrialScores | None:
    """Return the scores of an entry; ``None`` for none and for a damaged one."""
    try:
        entry = store.open(SCORES, key)
        return None if entry is None else TrialScores.from_dict(entry.read_json(SCORE_RECORD))
    except (CorruptEntryError, ValueError):
        return None


def is_earlier_cell(path: Path) -> bool:
    """Return whether a record is one of the version in which scores were part of a trial."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return {"cell", "final", "search"} <= set(record) and "scores" not in record
    except (OSError, ValueError, TypeError, RecursionError):
        return False


def read_cell(path: Path) -> dict[str, Any] | None:
    """Return the record of a cell (``spared_bench.trials.cells``).

    ``None`` for what is none, and for one of a version in which scores were part of a trial.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        names, keys = record["cell"], [record["final"], *record["search"]]
        dataset, seed = names[:4], names[4]
        texts = [*dataset, record["scores"], record["figures"], *keys]
        sound = all(isinstance(text, str) for text in texts) and isinstance(seed, int)
        sound = sound and all(key.isalnum() for key in keys)
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return None
    return record if sound else None
