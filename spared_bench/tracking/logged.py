"""What MLflow gave back: current results, and what their runs say for comparisons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from spared_bench.results import IMPORTED, TrialResult
from spared_bench.store.records import CellFile, Records


@dataclass(frozen=True)
class LoggedResults:
    """The current results, and what their runs say for comparisons, as the records of a store do.

    Parameters
    ----------
    results : list of TrialResult
    said : list of CellFile
        One for each result, at no place.
    """

    results: list[TrialResult]
    said: list[CellFile]

    def cells(self) -> list[CellFile]:
        """Return what is said of each result."""
        return self.said

    def filled(self, records: Records) -> LoggedResults:
        """Return them with what runs of earlier versions do not say, if the store's records do."""
        if all(cell.changed for cell in self.said):
            return self
        known = {_of(cell.record): cell for cell in records.cells() if cell.record is not None}
        said = [
            cell if cell.changed or cell.record is None else known.get(_of(cell.record), cell)
            for cell in self.said
        ]
        return replace(self, said=said)

    def is_imported(self, cell: CellFile) -> bool:
        """Whether a result was made in another workspace than the one that logged it."""
        return cell.record is not None and cell.record["final"] in self._imported

    @cached_property
    def _imported(self) -> frozenset[str]:
        return frozenset(result.key for result in self.results if IMPORTED in result.facts)


def _of(record: Mapping[str, Any]) -> tuple[Any, ...]:
    return (*record["cell"], record["final"])
