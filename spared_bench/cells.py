"""Which trial counts for which cell: small records beside the trials, one per cell.

The store keeps every trial, those of searches and of earlier code included. A cell's record names
the one that counts now, and the candidates of its search. It is what tracking and the leaderboard
read, so that both say the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from spared_bench.errors import CorruptEntryError
from spared_bench.plan import Plan
from spared_bench.results import TrialResult
from spared_bench.runner import RESULT, TRIALS
from spared_bench.store import Entry, Store, digest, write_text


@dataclass(frozen=True)
class FinishedCell:
    """A cell's result, and where its files are.

    Parameters
    ----------
    final : TrialResult
        The result that counts.
    folder : Path
        Of its entry in the store.
    search : tuple of (TrialResult, Path)
        The candidates; empty where nothing was searched.
    """

    final: TrialResult
    folder: Path
    search: tuple[tuple[TrialResult, Path], ...] = ()


def record_cells(plan: Plan, results: Mapping[str, TrialResult]) -> int:
    """Write the record of every cell that has its result; return how many are new or changed."""
    store = plan.bench.workspace.store
    changed = 0
    for cell in plan.cells:
        job = cell.chosen(results)
        if job is None or job.key not in results:
            continue
        names = [plan.bench.protocol.id, cell.dataset, cell.completer, cell.predictor, cell.seed]
        record = {"cell": names, "final": job.key, "search": [job.key for job in cell.search]}
        path = store.root / "cells" / f"{digest(names)}.json"
        text = json.dumps(record, indent=1)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            write_text(path, text)
            changed += 1
    return changed


def finished_cells(store: Store, protocol: str = "") -> Iterator[FinishedCell]:
    """Yield the finished cells of a store, sorted by their names.

    Parameters
    ----------
    store : Store
    protocol : str
        ``"demo@1"``; all where empty.
    """
    records = []
    for path in (store.root / "cells").glob("*.json"):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            records.append((record["cell"], record["final"], record["search"]))
        except (ValueError, KeyError, TypeError):
            continue
    for names, final, search in sorted(records):
        if protocol and names[0] != protocol:
            continue
        found = _trial(store, final)
        if found is not None:
            others = tuple(trial for key in search if (trial := _trial(store, key)) is not None)
            yield FinishedCell(*found, others)


def _trial(store: Store, key: str) -> tuple[TrialResult, Path] | None:
    try:
        entry: Entry | None = store.open(TRIALS, key)
        if entry is None:
            return None
        return TrialResult.from_dict(entry.read_json(RESULT)), entry.folder
    except (CorruptEntryError, ValueError):
        return None
