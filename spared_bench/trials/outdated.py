"""Cells that were finished while their protocol had other settings, or their dataset other data.

A protocol is known by name and version and a dataset by its name, and people change the file of
theirs without another. What was run before stays under the name, and would be compared with what
is run after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Protocol

from spared_bench.results import TrialResult
from spared_bench.store.records import CellFile, Records
from spared_bench.store.trials import DATA, MEASURED_BY, SETTINGS, write_cell
from spared_bench.words import counted

if TYPE_CHECKING:
    from spared_bench.bench import Bench
    from spared_bench.planning.plan import Plan

#: Protocol, dataset, completer, predictor and seed.
Cell = tuple[str, str, str, str, int]
#: What was another one when a cell was finished.
Other = Literal["settings", "data"]
_Group = dict[str, list[CellFile]]  # the records of each hash
_MOST_NAMED = 3
_OTHER_CODE = (
    "prepared or scored by another version of the code than the last on the same data, so numbers"
    " may differ"
)
_UNSAID = (
    "recorded by an earlier version of spared-bench, which did not say under which settings, of"
    " which data and by which code, so they may not be comparable with the others"
)
_ANEW = "The same run makes them anew, where that changes them."


class RecordedCells(Protocol):
    """What is said of finished cells: by the records of a store, or by the runs of MLflow."""

    def cells(self) -> Iterable[CellFile]:
        """Return what is said of each."""
        ...

    def is_imported(self, cell: CellFile) -> bool:
        """Whether the result of a cell was made in another workspace."""
        ...


def outdated_cells(records: RecordedCells, settings: Mapping[str, str]) -> dict[Cell, Other]:
    """Return the cells that were finished under other settings, or of other data, than count.

    Those of the cell that was recorded last count; one that was imported, where no other is there.

    Parameters
    ----------
    records : RecordedCells
        Those of an earlier version, which do not say it, are not among them.
    settings : mapping of str to str
        Of protocols that are at hand, the hash of their settings (``Protocol.hash_of_a_seed``),
        which counts.
    """
    found: dict[Cell, Other] = {}
    for name, group in _groups(records.cells(), SETTINGS, lambda cell: cell[:1]).items():
        others = _others(group, settings.get(name[0]) or _last(records, group))
        found |= dict.fromkeys(others, "settings")
    for group in _groups(records.cells(), DATA, lambda cell: cell[:2], but=found).values():
        found |= dict.fromkeys(_others(group, _last(records, group)), "data")
    return found


def remarks_on_code(
    records: RecordedCells, outdated: Mapping[Cell, Other]
) -> dict[str, tuple[str, ...]]:
    """Return what a board has to say, by protocol, of results that other code prepared or scored.

    They stay: most changes of code move no number. So do those that an earlier version recorded,
    which said of what they were made nowhere, beside others that do.
    """
    others: dict[str, list[Cell]] = {}
    groups = _groups(records.cells(), MEASURED_BY, lambda cell: cell[:2], but=outdated)
    for (protocol, _), group in groups.items():
        others.setdefault(protocol, []).extend(_others(group, _last(records, group)))
    unsaid: dict[str, list[Cell]] = {}
    for file in records.cells():
        if file.record is not None and MEASURED_BY not in file.record:
            cell = _cell(file)
            if cell[:2] in groups and cell not in outdated:
                unsaid.setdefault(cell[0], []).append(cell)
    found: dict[str, tuple[str, ...]] = {}
    for cells_of, told in ((others, _OTHER_CODE), (unsaid, _UNSAID)):
        for protocol, cells in cells_of.items():
            if cells:
                were = f"{counted(len(cells), 'result')} {'was' if len(cells) == 1 else 'were'}"
                remark = f"{were} {told}: {_named(cells)}. {_ANEW}"
                found[protocol] = (*found.get(protocol, ()), remark)
    return found


def make_current(plan: Plan) -> None:
    """Let the data of a plan count whose cells were all recorded before those of other data."""
    let_data_count(plan.bench, {cell.dataset for cell in plan.cells})


def let_data_count(bench: Bench, datasets: Iterable[str]) -> None:
    """Let the cells of these datasets' data of now count, if those of other data would.

    These were recorded later, or by a clock that was ahead: of another machine, or of this one
    before it was set right.

    Parameters
    ----------
    bench : Bench
    datasets : iterable of str
    """
    with Records(bench.workspace.store, genes=False) as records:
        groups = _groups(records.cells(), DATA, lambda cell: cell[:2])
        for dataset in datasets:
            group = groups.get((bench.protocol.id, dataset), {})
            hashed = bench.data_hash(dataset)
            if hashed in group and _last(records, group) != hashed:
                file = group[hashed][0]
                last = max(each.written for files in group.values() for each in files)
                write_cell(file.path, file.record or {}, after=last)


def _groups(
    files: Iterable[CellFile],
    name: str,
    of: Callable[[Cell], tuple[str, ...]],
    but: Mapping[Cell, Other] | None = None,
) -> dict[tuple[str, ...], _Group]:
    """Return the records that say something under a name, by what they are of and what they say."""
    groups: dict[tuple[str, ...], _Group] = {}
    for file in files:
        hashed = None if file.record is None else file.record.get(name)
        if isinstance(hashed, str) and not (but and _cell(file) in but):
            groups.setdefault(of(_cell(file)), {}).setdefault(hashed, []).append(file)
    return groups


def _others(group: _Group, counts: str) -> Iterator[Cell]:
    return (_cell(file) for hashed in group if hashed != counts for file in group[hashed])


def _last(records: RecordedCells, group: _Group) -> str:
    """Return what the record says that was written last, those of this workspace before others."""
    if len(group) == 1:
        return next(iter(group))
    made = (
        (not records.is_imported(file), file.written, hashed)
        for hashed, files in group.items()
        for file in files
    )
    return max(made)[-1]


def _cell(file: CellFile) -> Cell:
    assert file.record is not None
    protocol, dataset, completer, predictor, seed = file.record["cell"]
    return protocol, dataset, completer, predictor, seed


def without(
    results: Iterable[TrialResult], outdated: Mapping[Cell, Other], left_out: list[str]
) -> list[TrialResult]:
    """Return the results that are not of such cells, and say what is left out, and why."""
    kept: list[TrialResult] = []
    gone: dict[tuple[str, str], list[Cell]] = {}
    for result in results:
        other = outdated.get(result.cell)
        if other is None:
            kept.append(result)
        else:
            of = result.dataset if other == "data" else ""
            gone.setdefault((result.protocol, of), []).append(result.cell)
    left_out += [_told(protocol, dataset, cells) for (protocol, dataset), cells in gone.items()]
    return kept


def _told(protocol: str, dataset: str, cells: Sequence[Cell]) -> str:
    """Say what of a protocol is left out; of other data, where a dataset is named."""
    results, are = counted(len(cells), "result"), "is" if len(cells) == 1 else "are"
    if dataset:
        return (
            f"{results} of {protocol} on {dataset} made of other data than that has now {are} not"
            f" shown: {_named(cells)}. The same run makes them anew; a dataset of another name"
            " keeps both."
        )
    return (
        f"{results} of {protocol} made under other settings than it has now {are} not shown:"
        f" {_named(cells)}. The same run makes what has changed anew; another `version` in the"
        " protocol's file keeps both. A file that is not registered is named with"
        " `leaderboard build --protocol FILE`."
    )


def _named(cells: Sequence[Cell]) -> str:
    named = "; ".join(" · ".join(map(str, cell[1:])) for cell in cells[:_MOST_NAMED])
    return named + (f" and {len(cells) - _MOST_NAMED} more" if len(cells) > _MOST_NAMED else "")
