"""Matrix Market files, read as they are written or not at all.

scipy takes ``1,5`` for 1, a pattern for ones, the real part for a complex number, and 2.5 under the
title ``integer`` for 2; a line with a field too many ends its process.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING

import numpy as np

from spared_bench.words import counted

if TYPE_CHECKING:
    from scipy.sparse import coo_matrix

MATRIX_MARKET = b"%%MatrixMarket"
_LAYOUTS = {"coordinate": ("row", "column", "count"), "array": ("count",)}
_FIELDS = ("integer", "unsigned-integer", "real", "double")
_LINES_AT_ONCE = 1_000_000
#: What counts must not be; pandas would take true for 1.
_NO_NUMBERS = ["nan", "NaN", "NA", "true", "True", "TRUE", "false", "False", "FALSE"]
_FROM_ZERO = (
    ". Rows and columns of this format count from 1, and whoever wrote it has counted from 0: write"
    " it again with `scipy.io.mmwrite`, or add 1 to what was counted from 0, in every line"
)


def read_matrix_market(stream: IO[bytes]) -> tuple[coo_matrix, bool]:
    """Read a matrix of counts.

    Parameters
    ----------
    stream : file of bytes
        From the beginning.

    Returns
    -------
    coo_matrix of float32
    bool
        Whether the file has the row and the column of each count.

    Raises
    ------
    ValueError
        If a line is not what the title says, or there are more or fewer of them than it says.
    """
    from scipy import sparse

    layout = _title(stream.readline())
    size = _next_fields(stream)
    n_numbers = 3 if layout == "coordinate" else 2
    if len(size) != n_numbers or not all(each.isdigit() for each in size):
        raise ValueError(f"its size is {_shown(size)!r}; expected {n_numbers} whole numbers")
    n_rows, n_columns, *told = map(int, size)
    expected = told[0] if told else n_rows * n_columns
    parts = _parts(stream, _LAYOUTS[layout])
    found = sum(len(part["count"]) for part in parts)
    if found != expected:
        raise ValueError(f"it holds {counted(found, 'count')}, where its size says {expected:,}")
    values = _joined(parts, "count", np.float32)
    if layout == "array":
        return sparse.coo_matrix(values.reshape((n_rows, n_columns), order="F")), False
    places = []
    for axis, length in (("row", n_rows), ("column", n_columns)):
        numbers = _joined(parts, axis, np.int64)
        beyond = (numbers < 1) | (numbers > length)
        if beyond.any():
            zero = (numbers == 0).any()
            raise ValueError(
                f"it names {axis} {0 if zero else numbers[beyond][0]}; expected 1 to {length}, as"
                f" the size says{_FROM_ZERO if zero else ''}"
            )
        places.append(numbers - 1)
    return sparse.coo_matrix((values, tuple(places)), shape=(n_rows, n_columns)), True


def _title(line: bytes) -> str:
    """Return the layout that the first line names."""
    words = line.decode("utf-8", "replace").casefold().lstrip("%").split()
    if len(words) != 5 or words[:2] != ["matrixmarket", "matrix"]:
        raise ValueError("it does not begin with '%%MatrixMarket matrix' and three words after it")
    layout, field, symmetry = words[2:]
    if layout not in _LAYOUTS or field not in (*_FIELDS, "pattern", "complex"):
        raise ValueError(f"its first line speaks of {layout!r} and {field!r}")
    if field == "pattern":
        raise ValueError("it is a pattern, which says where counts are and not how many")
    if field == "complex" or symmetry != "general":
        raise ValueError(f"it is {field} and {symmetry}, which counts of genes and spots are not")
    return layout


def _next_fields(stream: IO[bytes]) -> list[bytes]:
    """Return the fields of the next line that is neither empty nor, before numbers, a comment."""
    for line in stream:
        if line.strip() and not line.lstrip().startswith(b"%"):
            return line.split()
    return []


def _shown(fields: list[bytes]) -> str:
    return b" ".join(fields)[:60].decode("utf-8", "replace")


def _parts(stream: IO[bytes], names: tuple[str, ...]) -> list[dict[str, np.ndarray]]:
    """Return the columns of all lines, in parts."""
    from pandas.errors import ParserWarning

    try:
        with warnings.catch_warnings():
            # Of the first line that it reads, pandas drops what is too much, and warns.
            warnings.simplefilter("error", ParserWarning)
            return list(_lines(stream, names))
    except ParserWarning as error:
        raise ValueError(
            f"its second line of numbers has more than {counted(len(names), 'field')}"
        ) from error


def _lines(stream: IO[bytes], names: tuple[str, ...]) -> Iterator[dict[str, np.ndarray]]:
    """Yield the columns of each part of the lines."""
    import pandas as pd

    first = _next_fields(stream)  # by which pandas would take the number of fields
    if first and len(first) != len(names):
        raise ValueError(
            f"its first line of numbers is {_shown(first)!r}; expected"
            f" {counted(len(names), 'number')}"
        )
    kinds = {name: np.float64 if name == "count" else np.int64 for name in names}
    for source in (io.BytesIO(b" ".join(first)), stream) if first else ():
        reader = pd.read_csv(
            source, sep=r"\s+", header=None, names=list(names), dtype=kinds, index_col=False,
            keep_default_na=False, na_values=_NO_NUMBERS, chunksize=_LINES_AT_ONCE,
        )  # fmt: skip
        for part in reader:
            yield {name: part[name].to_numpy() for name in names}


def _joined(parts: list[dict[str, np.ndarray]], name: str, kind: type) -> np.ndarray:
    with np.errstate(over="ignore"):  # what is infinite is told later, by spot and gene
        found: list[np.ndarray] = [part[name].astype(kind) for part in parts]
    return np.concatenate([np.zeros(0, dtype=kind), *found])
