"""How a table was written as text: what separates its values, where its names are."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass

from spared_bench.errors import SubmissionError

#: What separates values, where several could: the one that the header has most of.
_SEPARATORS = "\t;,|"
_QUOTED = re.compile(r'"[^"]*"')


@dataclass(frozen=True)
class Layout:
    """Of the lines of a table.

    Parameters
    ----------
    separator : str
    columns : list of str
        Above the values.
    before : int
        Fields before the first value; the last of them is the name of the row.
    """

    separator: str
    columns: list[str]
    before: int = 1

    @property
    def width(self) -> int:
        """How many fields a line has."""
        return self.before + len(self.columns)

    @property
    def comma_is_point(self) -> bool:
        """Whether a comma in a number is its decimal point, as Excel and R write in Europe."""
        return self.separator != ","

    def name(self, line: str) -> str:
        """Return the name of a row, without looking at its values where that can be."""
        start = line.split(self.separator, self.before)[: self.before]
        if any('"' in part for part in start):
            start = fields(line, self.separator)
        return start[self.before - 1].strip() if len(start) >= self.before else ""


def layout_of(header: str, first: str, source: str, told: str = "") -> Layout:
    """Tell how a table is laid out by its header and its first row, and its separator if told.

    Raises
    ------
    SubmissionError
        If the two do not fit each other, or nothing separates values.
    """
    separator = told or _separator(header) or _separator(first)
    if not separator:
        raise SubmissionError(
            f"{source} has one value in a line, {header[:40]!r}: expected names of genes, separated"
            " by commas, tabs, semicolons, | or spaces."
        )
    names, row = fields(header, separator), fields(first, separator)
    if len(names) == len(row) - 1:  # R leaves the corner out
        return Layout(separator, names)
    if len(names) != len(row):
        raise SubmissionError(
            f"{source} has a header of {len(names)} names and a first row of {len(row)} values;"
            " expected as many, with the names of the rows in the first column."
        )
    # pandas and R number the rows of a table whose names are in a column: they stand in the second.
    before = 2 if len(row) > 2 and _is_numbered(names, row) else 1
    return Layout(separator, names[before:], before)


def fields(line: str, separator: str) -> list[str]:
    """Return the values of a line."""
    if '"' not in line:
        return [field.strip() for field in line.split(separator)]
    try:
        return [field.strip() for field in next(csv.reader([line], delimiter=separator))]
    except (csv.Error, StopIteration) as error:
        raise SubmissionError(f"A line of the table cannot be read ({error}).") from error


def _separator(line: str) -> str:
    bare = _QUOTED.sub("", line)
    most = max(_SEPARATORS, key=bare.count)
    if bare.count(most):
        return most
    return " " if " " in bare.strip() else ""


def _is_numbered(names: Sequence[str], row: Sequence[str]) -> bool:
    if names[0] or row[0] not in ("0", "1"):
        return False
    try:
        float(row[1])
    except ValueError:
        return True
    return False
