"""Which trial counts for which cell: small records beside the trials, one per cell.

The store keeps every trial, those of searches and of earlier code included. A cell's record names
the one that counts now, and the candidates of its search. It is what tracking and the leaderboard
read, so that both say the same.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any, TypeVar

from spared_bench.bench import Bench
from spared_bench.keys.hashing import digest
from spared_bench.planning.plan import Plan
from spared_bench.results import BY_HAND, TrialResult
from spared_bench.store.entries import MANIFEST, Store
from spared_bench.store.records import CellFile, Records
from spared_bench.store.studies import keys_of_studies
from spared_bench.store.trials import (
    DATA,
    FIGURES,
    MADE_OF,
    MEASURED_BY,
    SCORES,
    SETTINGS,
    TRIALS,
    WRITTEN,
    read_cell,
    write_cell,
)

_AT_ONCE = 200  # cells whose records are looked up together
#: What a result calls the names in a cell's record, and the key of its trial.
_NAMES = ("protocol", "dataset", "completer", "predictor", "seed", "key")
_names_of = attrgetter(*_NAMES)
_T = TypeVar("_T")


@dataclass(frozen=True)
class FinishedCell:
    """A cell's result, and where its files are.

    Parameters
    ----------
    final : TrialResult
        The result that counts, with its scores.
    store : Store
    record : mapping
        Keys of the entries of its trial, scores and figures.
    written : int
        When the record was, in nanoseconds.
    search : tuple of (TrialResult, Path)
        The candidates, without scores; empty where nothing was searched.
    """

    final: TrialResult
    store: Store
    record: Mapping[str, Any]
    written: int
    search: tuple[tuple[TrialResult, Path], ...] = ()

    @property
    def made_of(self) -> dict[str, str]:
        """What its record says for comparisons (``outdated``)."""
        return {name: self.record[name] for name in MADE_OF if name in self.record}

    # Places are put together when they are asked for: of 50,000 cells they take a second.
    @property
    def folder(self) -> Path:
        """Of the trial."""
        return self.store.folder(TRIALS, self.record["final"])

    @property
    def scores(self) -> Path | None:
        """Of its scores, if it can have some."""
        key = self.record["scores"]
        return self.store.folder(SCORES, key) if key else None

    @property
    def figures(self) -> Path | None:
        """Of its figures, if they were drawn."""
        key = self.record["figures"]
        return self.store.folder(FIGURES, key) if self.store.has(FIGURES, key) else None


def what_it_was_made_of(bench: Bench, dataset: str) -> dict[str, str]:
    """Return what the record of a cell says, so that only like is compared (``outdated``)."""
    return {
        SETTINGS: bench.protocol.hash_of_a_seed,
        DATA: bench.data_hash(dataset),
        MEASURED_BY: bench.measuring_code(dataset),
    }


def record_cells(plan: Plan, results: Mapping[str, TrialResult], but: Collection[str] = ()) -> int:
    """Write the record of every cell that has its result; return how many are new or changed.

    Parameters
    ----------
    plan : Plan
    results : mapping of key to TrialResult
    but : collection of str
        Keys of trials whose cells are left for later.
    """
    store, protocol = plan.bench.workspace.store, plan.bench.protocol
    # The same for many cells, and this is done every few seconds of a run.
    made_of = cache(partial(what_it_was_made_of, plan.bench))
    set_by_hand = cache(plan.bench.set_by_hand)
    changed = 0
    for cell in plan.cells:
        job = cell.chosen(results)
        if job is None or job.key not in results or job.key in but:
            continue
        names = [protocol.id, cell.dataset, cell.completer, cell.predictor, cell.seed]
        scores = plan.score_job(job).key if results[job.key].ok else ""
        if scores and not store.has(SCORES, scores):
            continue  # the run was stopped before: the cell is not finished
        record: dict[str, Any] = {
            "cell": names,
            "final": job.key,
            "search": cell.searched(results),
            "scores": scores,
            "figures": plan.draw_job(job).key,
            **made_of(cell.dataset),
        }
        if by_hand := set_by_hand(cell.completer, cell.predictor):
            record[BY_HAND] = by_hand
        path = store.root / "cells" / f"{digest(names)}.json"
        known = read_cell(path) or {}
        if {name: said for name, said in known.items() if name != WRITTEN} != record:
            if path.is_dir():
                shutil.rmtree(path)
            write_cell(path, record)
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
    with Records(store) as records:
        yield from cells_in(records, protocol, only=only, unread=unread)


def cells_in(
    records: Records,
    protocol: str = "",
    *,
    only: Iterable[Path] | None = None,
    unread: list[str] | None = None,
) -> Iterator[FinishedCell]:
    """Yield the finished cells of a store whose records are at hand; see ``finished_cells``."""
    unread = [] if unread is None else unread
    files = records.cells() if only is None else map(records.cell, only)
    every = _of_protocol(files, protocol, unread)
    all_of_them = only is None and not protocol
    known = all_of_them and records.look_ahead([file.record for file in every if file.record])
    for some in _some_of(every):
        if not known:
            _look_up(records, [file.record for file in some if file.record])
        for file in some:
            finished = finished_cell(records, file, unread)
            if finished is not None:
                yield finished


def finals_in(
    records: Records, protocol: str = "", unread: list[str] | None = None
) -> Iterator[TrialResult]:
    """Yield the results of ``cells_in`` alone: no candidate of a search is read.

    Parameters
    ----------
    records : Records
        Without genes, one look into the index serves a trial and its scores.
    protocol : str
    unread : list of str, optional
        As ``finished_cells`` takes them.
    """
    unread = [] if unread is None else unread
    if not protocol:
        records.every_final_ahead()
    files = _of_protocol(records.cells(), protocol, unread)
    every = [file.record for file in files if file.record]
    for some in _some_of(every) if protocol else [every]:
        if protocol:
            records.finals_ahead(some)
        yield from _results_of(records, some, unread)
    records.finals_ahead([])  # nothing is asked of these rows again


def _results_of(
    records: Records, cells: Sequence[Mapping[str, Any]], unread: list[str]
) -> Iterator[TrialResult]:
    """Yield the results of cells; those that are kept are all made before one's files matter."""
    kept = [(record, records.kept_final(record)) for record in cells]
    for some in _some_of(kept):
        known = [
            (record, result if result is not None and records.is_as_kept(record) else None)
            for record, result in some
        ]
        _look_up(records, [{**record, "search": []} for record, same in known if same is None])
        for record, result in known:
            if result is not None:
                yield _of_the_cell(result, record)
            elif (found := _with_scores(records, record, unread)) is not None:
                yield found


def _of_protocol(files: Iterable[CellFile], protocol: str, unread: list[str]) -> list[CellFile]:
    """Return the files of the cells of a protocol, sorted by their names."""
    wanted: list[tuple[list[Any], CellFile]] = []
    for file in files:
        if file.record is None:
            if not file.earlier:  # of which the commands tell
                unread.append(f"cells/{file.path.name} is no record of a cell and is left out.")
        elif not protocol or file.record["cell"][0] == protocol:
            wanted.append((file.record["cell"], file))
    wanted.sort(key=itemgetter(0))
    return [file for _, file in wanted]


def _some_of(every: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """Yield things some at a time."""
    for start in range(0, len(every), _AT_ONCE):
        yield every[start : start + _AT_ONCE]


def _look_up(records: Records, some: Sequence[Mapping[str, Any]]) -> None:
    records.read_ahead(TRIALS, [key for each in some for key in (each["final"], *each["search"])])
    records.read_ahead(SCORES, [each["scores"] for each in some])


def finished_cell(
    records: Records, file: CellFile, unread: list[str] | None = None
) -> FinishedCell | None:
    """Return the cell of a record, if its trial is there, with scores where there must be some.

    Parameters
    ----------
    records : Records
    file : CellFile
        As ``Records.cells`` gives it.
    unread : list of str, optional
        As ``finished_cells`` takes it.
    """
    store, record = records.store, file.record
    if record is None:
        return None
    result = _with_scores(records, record, [] if unread is None else unread)
    if result is None:
        return None
    others = ((key, records.trial(key, [])) for key in record["search"])
    searched = tuple((each, store.folder(TRIALS, key)) for key, each in others if each is not None)
    return FinishedCell(result, store, record, file.written, searched)


def _with_scores(
    records: Records, record: Mapping[str, Any], unread: list[str]
) -> TrialResult | None:
    result = records.trial(record["final"], unread)
    if result is None:
        return None
    scored = records.scores(record["scores"], unread) if record["scores"] else None
    if scored is not None:
        result = result.scored(scored)
    elif result.ok:
        return None
    if scored is not None or not record["scores"]:
        records.keep_final(record, result)
    return _of_the_cell(result, record)


def _of_the_cell(result: TrialResult, record: Mapping[str, Any]) -> TrialResult:
    """Return a result under the names of its cell, and with what was set by hand for it.

    A method cannot write either. A stranger's could make the record of its trial in the name of
    another's; and protocols of the same settings share their trials.
    """
    names = (*record["cell"], record["final"])
    if by_hand := record.get(BY_HAND):
        result = replace(result, facts={**result.facts, BY_HAND: by_hand})
    if _names_of(result) == names:
        return result
    return replace(result, **dict(zip(_NAMES, names, strict=True)))


def failures_since(records: Records, protocol: str = "") -> Iterator[TrialResult]:
    """Yield failed trials that no cell names yet: those of searches that have not come to an end.

    Failures that are older than the records of their dataset and predictor are of earlier code.

    Parameters
    ----------
    records : Records
    protocol : str
        Its name, without the version; empty: of all.
    """
    store = records.store
    named = keys_of_studies(store.root)  # their failures stand in their reports
    settled: dict[tuple[str, str], int] = {}
    for file in records.cells():
        if file.record is not None:
            named |= {file.record["final"], *file.record["search"]}
            pair = (file.record["cell"][1], file.record["cell"][3])
            settled[pair] = max(settled.get(pair, 0), file.changed)
    for key in store.keys(TRIALS, but=named):
        result = records.trial(key, [])
        if result is None or result.ok:
            continue
        if protocol and result.protocol.partition("@")[0] != protocol:
            continue
        changed = (store.folder(TRIALS, key) / MANIFEST).stat().st_mtime_ns
        if changed > settled.get((result.dataset, result.predictor), 0):
            yield result


def earlier_cells(records: Records) -> int:
    """Return how many cells were finished by an earlier version and not run again since."""
    return sum(file.earlier for file in records.cells())


def note_on_earlier(records: Records) -> str:
    """Say what becomes of the cells of an earlier version; empty where there are none."""
    number = earlier_cells(records)
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
