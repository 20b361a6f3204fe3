"""What the two tables of legacy ST must not hold, since one could only guess what is meant."""

from __future__ import annotations

import re
from pathlib import Path

from spared_bench.data.raw_counts import require_counts
from spared_bench.errors import CoordinateError, CountsError
from spared_bench.readers.tables import read_counts_table, read_table
from spared_bench.readers.text import fields_of, lines_of, read_text

_PLACE = ["x", "y"]
_WHERE = [*_PLACE, "pixel_x", "pixel_y"]
_JOINED = re.compile(r"\t([\d.]+_[\d.]+)")  # which Python reads as one number


def check_tables(counts: Path, spots: Path | None) -> None:
    """Refuse a position with two places, a gene without a name, and numbers with underscores.

    Raises
    ------
    MissingFileError, CoordinateError, CountsError
    """
    if spots is not None:
        table = read_table(spots, _WHERE, CoordinateError).drop_duplicates(_WHERE)
        twice = table[table.duplicated(_PLACE)]
        if len(twice):
            x, y = twice.iloc[0][_PLACE]
            raise CoordinateError(
                f"{spots} gives position {x:g}x{y:g} two places on the image. Leave one row of it."
            )
    header, *rows = lines_of(read_text(counts, CountsError, "table of counts")) or [""]
    names = fields_of(header, "\t")
    if "" in names[1:-1]:  # the corner may be empty, and a tab may end the line
        raise CountsError(
            f"Column {names.index('', 1) + 1} of {counts} has no name. Name it, or remove it."
        )
    for number, row in enumerate(rows, start=2):
        if row.startswith("\t"):
            raise CountsError(f"Row {number} of {counts} has no name. Name it, or remove it.")
        if "_" in row and (joined := _JOINED.search(row)):
            raise CountsError(f"Row {number} of {counts} holds {joined[1]!r}, which is no number.")


def require_table(counts: Path) -> None:
    """Refuse a table that the reader refuses, with the spot and the gene of what is no count.

    Raises
    ------
    CountsError
    """
    require_counts(*read_counts_table(counts), f"The counts table {counts}")
