"""From a table with names to arrays in the order of a dataset; nothing is found by its position."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from spared_bench.brought.names import Names, refuse_unknown
from spared_bench.errors import SubmissionError
from spared_bench.readers.quoted import without_quotes
from spared_bench.words import counted

#: (row numbers, column numbers) -> values.
Read = Callable[[np.ndarray, np.ndarray], np.ndarray]
#: Names of some rows, and how to read the wanted ones.
Block = tuple[Sequence[str], Read]
_MOST_TOLD = 10_000


@dataclass(frozen=True, eq=False)
class Named:
    """A table as it comes, in blocks of rows.

    Parameters
    ----------
    source : str
        What to call it in a message.
    columns : list of str
    blocks : iterator of Block
    notes : list of str
        What was understood of how it is written; more may come while blocks are read.
    """

    source: str
    columns: list[str]
    blocks: Iterator[Block]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Collected:
    """What a table holds of a dataset.

    Parameters
    ----------
    values : ndarray of float64, of shape (n_spots, n_genes)
        nan where the table has no such spot or gene.
    spots, genes : ndarray of bool, of shape (n_spots,) and (n_genes,)
        Which it has.
    unknown : dict of str to int
        How many of its spots and genes the dataset lacks.
    notes : list of str
        What was understood, in sentences.
    """

    values: np.ndarray
    spots: np.ndarray
    genes: np.ndarray
    unknown: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def collect(table: Named, spots: Names, genes: Names, *, ignore_unknown: bool = False) -> Collected:
    """Read the wanted spots and genes of a table, whichever of them are its rows.

    Parameters
    ----------
    table : Named
    spots, genes : Names
    ignore_unknown : bool
        Leave out names that the dataset does not have, instead of refusing the table.

    Raises
    ------
    SubmissionError
        If no name is known, one is unknown or stands twice, or a wanted value is not finite.
    """
    table = replace(
        table,
        columns=without_quotes(table.columns),
        blocks=((without_quotes(names), read) for names, read in table.blocks),
    )
    across, down = _axes(table, spots, genes)
    columns, found_columns, odd_columns = _wanted_columns(table, across)
    if odd_columns and not ignore_unknown:
        refuse_unknown(across, odd_columns, table.source)
    values = np.full((len(down.names), len(across.names)), np.nan)
    rows = _Rows(down, table.source)
    for names, read in table.blocks:
        numbers, places = rows.found(names)
        if rows.odd and not ignore_unknown:
            continue
        if len(numbers):
            values[np.ix_(places, found_columns)] = read(numbers, columns)
    seen = rows.seen
    if not seen.any() and down.shared.isdisjoint(rows.odd):
        raise SubmissionError(_nothing(table.source, down, rows.odd))
    if rows.odd and not (ignore_unknown and seen.any()):
        refuse_unknown(down, rows.odd, table.source)
    has = np.zeros(len(across.names), dtype=bool)
    has[found_columns] = True
    _check_finite(values, seen, has, table.source, down, across)
    unknown = {across.what: len(odd_columns), down.what: rows.n_odd}
    notes = [
        *table.notes,
        *(
            f"{number} {what} of the file are not in the dataset and were left out."
            for what, number in unknown.items()
            if number
        ),
    ]
    if across.what == "spots":
        notes.append("Rows of the file are genes, and columns spots, by their names.")
        return Collected(values.T, has, seen, unknown, notes)
    return Collected(values, seen, has, unknown, notes)


class _Rows:
    """Which rows of a file have a place in the dataset, and which were there already."""

    def __init__(self, wanted: Names, source: str) -> None:
        self.wanted, self.source = wanted, source
        self.seen = np.zeros(len(wanted.names), dtype=bool)
        self.odd: list[str] = []  # names that nobody knows, the first of them
        self.n_odd = 0

    def found(self, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows of a block that are wanted, by their numbers, and their places.

        Raises
        ------
        SubmissionError
            If one was there before.
        """
        rows, places = [], []
        for row, name in enumerate(names):
            place = self.wanted.place.get(name)
            if place is None:
                self._note_unknown(name)
                continue
            if self.seen[place]:
                raise SubmissionError(
                    f"{self.source} names {self.wanted.names[place]!r} more than once among its"
                    f" {self.wanted.what}. Keep one row of it: which of them is meant is not"
                    " guessed."
                )
            self.seen[place] = True
            rows.append(row)
            places.append(place)
        return np.array(rows, dtype=np.intp), np.array(places, dtype=np.intp)

    def _note_unknown(self, name: str) -> None:
        if self.wanted.unknown(name):
            self.n_odd += 1
            if len(self.odd) < _MOST_TOLD:
                self.odd.append(name)


def _axes(table: Named, spots: Names, genes: Names) -> tuple[Names, Names]:
    """Return what the columns are, and what the rows are."""
    n_genes, n_spots = genes.hits(table.columns), spots.hits(table.columns)
    if not n_genes and not n_spots:
        some = f", such as {', '.join(map(repr, table.columns[:3]))}" if table.columns else ""
        raise SubmissionError(
            f"{table.source} has no column that is a gene or a spot of the dataset: it has"
            f" {len(table.columns)} columns{some}."
            f" Genes are called like {', '.join(map(repr, genes.names[:2]))} or"
            f" {genes.others[0]!r}, spots like {spots.names[0]!r}. A table needs both names:"
            " spots as its index and genes as its header, or the other way round."
        )
    return (genes, spots) if n_genes >= n_spots else (spots, genes)


def _wanted_columns(table: Named, across: Names) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return which columns are wanted, their places, and those that are of nothing."""
    at: dict[int, int] = {}
    odd = []
    for number, name in enumerate(table.columns):
        place = across.place.get(name)
        if place is None:
            if across.unknown(name):
                odd.append(name)
        elif place in at:
            raise SubmissionError(
                f"{table.source} names {across.names[place]!r} more than once among its"
                f" {across.what} (columns {table.columns[at[place]]!r} and {name!r}). Keep one:"
                " which of them is meant is not guessed."
            )
        else:
            at[place] = number
    places = np.array(sorted(at), dtype=np.int64)
    return np.array([at[place] for place in places.tolist()], dtype=np.int64), places, odd


def _nothing(source: str, down: Names, odd: Sequence[str]) -> str:
    found = f" It names {', '.join(map(repr, odd[:2]))}." if odd else ""
    short = next((name for name in down.others if name not in {*down.names, *down.shared}), "")
    return (
        f"{source} has no row that is one of the {len(down.names)} {down.what} that are scored."
        f"{found}"
        f" They are called like {', '.join(map(repr, down.names[:2]))}"
        f"{f' or {short!r}' if short else ''}. Write the names"
        " as the index (first column) of the table. `spared-bench export split` writes them down."
    )


def _check_finite(
    values: np.ndarray,
    seen: np.ndarray,
    has: np.ndarray,
    source: str,
    down: Names,
    across: Names,
) -> None:
    wrong = ~np.isfinite(values) & seen[:, None] & has[None, :]
    if wrong.any():
        row, column = (int(i) for i in np.argwhere(wrong)[0])
        raise SubmissionError(
            f"{source} holds {counted(int(wrong.sum()), 'value')} other than finite numbers,"
            f" the first at {down.names[row]!r}, {across.names[column]!r}. Predict a number"
            " there, or leave the whole spot or gene out of the file, where it counts as missing."
        )
