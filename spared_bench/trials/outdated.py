"""Cells that were finished while their protocol had other settings than it has now.

A protocol is known by name and version, and people change the file of theirs without another
version. What was run before stays under the name, and would be compared with what is run after.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from spared_bench.results import TrialResult
from spared_bench.store.records import Records
from spared_bench.store.trials import SETTINGS
from spared_bench.words import counted

#: Protocol, dataset, completer, predictor and seed.
Cell = tuple[str, str, str, str, int]
_MOST_NAMED = 3


def outdated_cells(records: Records, settings: Mapping[str, str]) -> set[Cell]:
    """Return the cells that were finished under other settings than those that count.

    Parameters
    ----------
    records : Records
        Those of an earlier version, which do not say under which settings, are not among them.
    settings : mapping of str to str
        Of protocols that are at hand, the hash of their settings (``Protocol.hash_of_a_seed``). Of
        others, the settings of the cell that was recorded last count.
    """
    made: list[tuple[Cell, str]] = []
    last: dict[str, tuple[int, str]] = {}
    for file in records.cells():
        hashed = None if file.record is None else file.record.get(SETTINGS)
        if file.record is None or not isinstance(hashed, str):
            continue
        protocol, dataset, completer, predictor, seed = file.record["cell"]
        made.append(((protocol, dataset, completer, predictor, seed), hashed))
        last[protocol] = max(last.get(protocol, (0, "")), (file.changed, hashed))
    current = {name: hashed for name, (_, hashed) in last.items()} | dict(settings)
    return {cell for cell, hashed in made if hashed != current[cell[0]]}


def without(
    results: Iterable[TrialResult], outdated: Collection[Cell], left_out: list[str]
) -> list[TrialResult]:
    """Return the results that are not of such cells, and say of each protocol what is left out."""
    kept: list[TrialResult] = []
    gone: dict[str, list[Cell]] = {}
    for result in results:
        if result.cell in outdated:
            gone.setdefault(result.protocol, []).append(result.cell)
        else:
            kept.append(result)
    left_out += [_told(protocol, cells) for protocol, cells in gone.items()]
    return kept


def _told(protocol: str, cells: Sequence[Cell]) -> str:
    named = "; ".join(" · ".join(map(str, cell[1:])) for cell in cells[:_MOST_NAMED])
    more = f" and {len(cells) - _MOST_NAMED} more" if len(cells) > _MOST_NAMED else ""
    return (
        f"{counted(len(cells), 'result')} of {protocol} made under other settings than it has now"
        f" {'is' if len(cells) == 1 else 'are'} not shown: {named}{more}. The same run makes what"
        " has changed anew; another `version` in the protocol's file keeps both. A file that is not"
        " registered is named with `leaderboard build --protocol FILE`."
    )
