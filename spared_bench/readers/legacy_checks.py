"""What the two tables of legacy ST must not hold, since one could only guess what is meant."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from spared_bench.data.raw_counts import require_counts
from spared_bench.errors import CoordinateError, CountsError
from spared_bench.readers.tables import as_flags, read_counts_table, read_table
from spared_bench.readers.text import fields_of, lines_of, read_text
from spared_bench.readers.tissue_column import not_used, tissue_columns

if TYPE_CHECKING:
    import pandas as pd

_PLACE = ["x", "y"]
_WHERE = [*_PLACE, "pixel_x", "pixel_y"]
_USE_IT = "if it is right, call it `selected`"
_JOINED = re.compile(r"\t([\d.]+_[\d.]+)")  # which Python reads as one number


def check_tables(counts: Path, spots: Path | None) -> list[str]:
    """Refuse a position with two places, a gene without a name, and numbers with underscores.

    Returns
    -------
    list of str
        What is to be recorded: columns that say what is under tissue and are not ``selected``.

    Raises
    ------
    MissingFileError, CoordinateError, CountsError
    """
    notes = []
    if spots is not None:
        table = read_table(spots, _WHERE, CoordinateError)
        notes = _not_selected(table, spots)
        places = table.drop_duplicates(_WHERE)
        twice = places[places.duplicated(_PLACE)]
        if len(twice):
            x, y = twice.iloc[0][_PLACE]
            raise CoordinateError(
                f"{spots} gives position {x:g}x{y:g} two places on the image. Leave one row of it."
            )
    lines = lines_of(read_text(counts, CountsError, "table of counts"))
    header, *rows = lines or [""]
    names = fields_of(header, "\t")
    if "" in names[1:-1]:  # the corner may be empty, and a tab may end the line
        raise CountsError(
            f"Column {names.index('', 1) + 1} of {counts} has no name. Name it, or remove it."
        )
    for number, row in enumerate(rows, start=lines.first + 1):
        if row.startswith("\t"):
            raise CountsError(f"Row {number} of {counts} has no name. Name it, or remove it.")
        if "_" in row and (joined := _JOINED.search(row)):
            raise CountsError(f"Row {number} of {counts} holds {joined[1]!r}, which is no number.")
    return notes


def _not_selected(table: pd.DataFrame, spots: Path) -> list[str]:
    """Name columns that call positions beside the tissue which ``selected`` does not."""
    names = map(str, table)
    like = [name for name in names if name != "selected" and name.casefold() == "selected"]
    if "selected" in table:
        where = f"Column 'selected' of {spots}"
        table = table[as_flags(table["selected"], where, CoordinateError)]
    return not_used(table[[*like, *tissue_columns(table)]], _USE_IT)


def require_table(counts: Path) -> None:
    """Refuse a table that the reader refuses, with the spot and the gene of what is no count.

    Raises
    ------
    CountsError
    """
    require_counts(*read_counts_table(counts), f"The counts table {counts}")
