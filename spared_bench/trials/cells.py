"""Which trial counts for which cell: small records beside the trials, one per cell.

The store keeps every trial, those of searches and of earlier code included. A cell's record names
the one that counts now, and the candidates of its search. It is what tracking and the leaderboard
read, so that both say the same.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from spared_bench.files import write_text
from spared_bench.keys.hashing import digest
from spared_bench.planning.plan import Plan
from spared_bench.results import TrialResult
from spared_bench.store.entries import MANIFEST, Store
from spared_bench.store.studies import keys_of_studies
from spared_bench.store.trials import (
    FIGURES,
    SCORES,
    TRIALS,
    is_earlier_cell,
    read_cell,
    read_scores,
    read_trial,
)


@dataclass(frozen=True)
class FinishedCell:
    """A cell's result, and where its files are.

    Parameters
    ----------
    final : TrialResult
        The result that counts, with its scores.
    folder : Path
        Of its entry in the store.
    search : tuple of (TrialResult, Path)
        The candidates, without scores; empty where nothing was searched.
    scores, figures : Path, optional
        Of their entries; ``None`` where there is none.
    """

    final: TrialResult
    folder: Path
    search: tuple[tuple[TrialResult, Path], ...] = ()
    scores: Path | None = None
    figures: Path | None = None


def record_cells(plan: Plan, results: Mapping[str, TrialResult], but: Collection[str] = ()) -> int:
    """Write the record of every cell that has its result; return how many are new or changed.

    Parameters
    ----------
    plan : Plan
    results : mapping of key to TrialResult
    but : collection of str
        Keys of trials whose cells are left for later.
    """
    store = plan.bench.workspace.store
    changed = 0
    for cell in plan.cells:
        job = cell.chosen(results)
        if job is None or job.key not in results or job.key in but:
            continue
        names = [plan.bench.protocol.id, cell.dataset, cell.completer, cell.predictor, cell.seed]
        scores = plan.score_job(job).key if results[job.key].ok else ""
        if scores and not store.has(SCORES, scores):
            continue  # the run was stopped before: the cell is not finished
        record = {
            "cell": names,
            "final": job.key,
            "search": cell.searched(results),
            "scores": scores,
            "figures": plan.draw_job(job).key,
        }
        path = store.root / "cells" / f"{digest(names)}.json"
        text = json.dumps(record, indent=1)
        if read_cell(path) != record:
            if path.is_dir():
                shutil.rmtree(path)
            write_text(path, text, sync=False)
            changed += 1
    return changed


def finished_cells(
    store: Store,
    protocol: str = "",
    *,
    only: Iterable[Path] | None = None,
    unread: list[str] | None = None,
) -> Iterator[FinishedCell]:
    """Yield the finished cells of a store, sorted by their names.

    Parameters
    ----------
    store : Store
    protocol : str
        ``"demo@1"``; all where empty.
    only : iterable of Path, optional
        These records; all by default.
    unread : list of str, optional
        Takes a sentence for every record, trial or scores that are there and cannot be read.
    """
    unread = [] if unread is None else unread
    records = []
    for path in (store.root / "cells").glob("*.json") if only is None else only:
        record = read_cell(path)
        if record is None and not is_earlier_cell(path):  # of which the commands tell
            unread.append(f"cells/{path.name} is no record of a cell and is left out.")
        if record is not None:
            records.append(record)
    for record in sorted(records, key=lambda record: record["cell"]):
        names, final, search = record["cell"], record["final"], record["search"]
        scores, figures = record["scores"], record["figures"]
        if protocol and names[0] != protocol:
            continue
        found = read_trial(store, final, unread)
        if found is not None:
            others = [trial for key in search if (trial := read_trial(store, key, [])) is not None]
            drawn = store.folder(FIGURES, figures) if store.has(FIGURES, figures) else None
            searched = tuple((result, entry.folder) for result, entry in others)
            scored = read_scores(store, scores, unread) if scores else None
            if found[0].ok and scored is None:
                continue
            result = found[0] if scored is None else found[0].scored(scored)
            place = store.folder(SCORES, scores) if scores else None
            yield FinishedCell(result, found[1].folder, searched, place, drawn)


def failures_since(store: Store, protocol: str = "") -> Iterator[TrialResult]:
    """Yield failed trials that no cell names yet: those of searches that have not come to an end.

    Failures that are older than the records of their dataset and predictor are of earlier code.

    Parameters
    ----------
    store : Store
    protocol : str
        Its name, without the version; empty: of all.
    """
    named = keys_of_studies(store.root)  # their failures stand in their reports
    settled: dict[tuple[str, str], int] = {}
    for path in (store.root / "cells").glob("*.json"):
        record = read_cell(path)
        if record is not None:
            named |= {record["final"], *record["search"]}
            pair = (record["cell"][1], record["cell"][3])
            settled[pair] = max(settled.get(pair, 0), path.stat().st_mtime_ns)
    for manifest in sorted((store.root / TRIALS).glob(f"*/*/{MANIFEST}")):
        found = (
            None if manifest.parent.name in named else read_trial(store, manifest.parent.name, [])
        )
        if found is None or found[0].ok:
            continue
        if protocol and found[0].protocol.partition("@")[0] != protocol:
            continue
        pair = (found[0].dataset, found[0].predictor)
        if manifest.stat().st_mtime_ns > settled.get(pair, 0):
            yield found[0]


def earlier_cells(store: Store) -> int:
    """Return how many cells were finished by an earlier version and not run again since."""
    return sum(map(is_earlier_cell, (store.root / "cells").glob("*.json")))


def note_on_earlier(store: Store) -> str:
    """Say what becomes of the cells of an earlier version; empty where there are none."""
    number = earlier_cells(store)
    if not number:
        return ""
    return (
        f"{number} results in this workspace were made by an earlier version of spared-bench and"
        " are not shown. The same run makes them again; `spared-bench store gc --yes` takes"
        " their files away."
    )


class Seen:
    """Which records of cells were read before, by their time of change."""

    def __init__(self) -> None:
        self._times: dict[Path, int] = {}

    def fresh(self, store: Store) -> dict[Path, int]:
        """Return the records that are new or changed, with their times."""
        found = {}
        for path in (store.root / "cells").glob("*.json"):
            try:
                changed = path.stat().st_mtime_ns
            except FileNotFoundError:
                continue
            if self._times.get(path) != changed:
                found[path] = changed
        return found

    def note(self, records: Mapping[Path, int]) -> None:
        """Remember that these were read."""
        self._times.update(records)
