"""Tables as text: read, checked, and blamed by line when they are not what they should be."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spared_bench.errors import CountsError, DataError
from spared_bench.readers.text import bare, fields_of, lines_of, read_text
from spared_bench.words import counted

if TYPE_CHECKING:
    import pandas as pd
    from scipy.sparse import csr_matrix

_YES, _NO = ("1", "1.0", "true", "t", "yes", "y"), ("0", "0.0", "false", "f", "no", "n")
_POSITION = re.compile(r"X?(\d+(?:\.\d+)?)[x_](\d+(?:\.\d+)?)")


def parse_position(name: str) -> tuple[float, float] | None:
    """Return the x and y of a spot's name, ``None`` if it is not one.

    >>> parse_position("16.92x9.015")
    (16.92, 9.015)
    """
    match = _POSITION.fullmatch(name)
    return (float(match[1]), float(match[2])) if match else None


def read_counts_table(path: Path) -> tuple[csr_matrix, list[str], list[str]]:
    """Read a table of counts, spots as rows named ``<x>x<y>``.

    A table of genes as rows is turned round, which its names make certain.

    Parameters
    ----------
    path : Path
        TSV, gzipped or not; quoted or not.

    Returns
    -------
    matrix : csr_matrix of float32, of shape (n_spots, n_genes)
    spots, genes : list of str

    Raises
    ------
    MissingFileError
    CountsError
        For damage, a value that is no number, or names that are no positions.
    """
    lines = lines_of(read_text(path, CountsError, "table of counts"))
    if not lines:
        raise CountsError(f"The counts table {path} is empty.")
    names, matrix = _parse_rows(lines[1:], path, lines.first + 1)
    n_rows, width = matrix.shape
    header = fields_of(lines[0], "\t")
    if not width or len(header) not in (width, width + 1):  # R leaves out the corner
        raise CountsError(
            f"{path} names {len(header)} columns but has {n_rows} rows of {width} values;"
            " expected a tab-separated table of counts with spots as rows and genes as columns."
        )
    columns = header[len(header) - width :]
    if all(parse_position(name) for name in names):
        return matrix, names, columns
    if all(parse_position(name) for name in columns):
        return matrix.T.tocsr(), columns, names
    odd = next(name for name in names if not parse_position(name))
    raise CountsError(
        f"{path}: row {odd!r} is not named by its position, '<x>x<y>' as in '10x21'. Expected"
        " spots as rows and genes as columns."
    )


class _Numbers(dict[str, float]):
    """What texts are as numbers; of the counts of a spot, nearly all are one of few."""

    def __missing__(self, text: str) -> float:
        number = self[text] = float(text)
        return number


def _parse_rows(lines: Sequence[str], path: Path, first: int) -> tuple[list[str], csr_matrix]:
    """Split a table's lines, from one on, into names and numbers."""
    from scipy import sparse

    names, rows = [], []
    for number, line in enumerate(lines, start=first):
        name, *values = fields_of(line, "\t") if '"' in line else line.split("\t")
        try:
            numbers = map(_Numbers().__getitem__, values)
            rows.append(sparse.csr_matrix(np.fromiter(numbers, np.float32, len(values))))
        except ValueError as error:
            raise CountsError(f"{path}, line {number} ({name!r}): {error}.") from error
        if rows[-1].shape != rows[0].shape:
            raise CountsError(
                f"{path}, line {number} ({name!r}) has {len(values)} values, but line {first} has"
                f" {rows[0].shape[1]}. The file is damaged or incomplete; fetch it again."
            )
        names.append(bare(name))
    return names, sparse.vstack(rows, format="csr") if rows else sparse.csr_matrix((0, 0))


def read_table(
    path: Path,
    columns: Sequence[str],
    error: type[DataError],
    *,
    separator: str = "\t",
    names: Sequence[str] | None = None,
    flags: Sequence[str] = (),
) -> pd.DataFrame:
    """Read a table and check that these columns are there and hold finite numbers.

    What is called ``.parquet`` is read as such, all else as text, whose other columns stay text:
    a spot named 010 is not spot 10. Capital letters of the columns asked for do not count.

    Parameters
    ----------
    path : Path
    columns : sequence of str
        What must be there, as numbers.
    error : type of DataError
        What to raise.
    separator : str
    names : sequence of str, optional
        Of the columns, for a file without a header.
    flags : sequence of str
        Further columns that must be there, as yes or no (``as_flags``); they become 1 or 0.
    """
    import pandas as pd

    if not path.is_file():
        raise error(
            f"There is no position table at {path}, so the spots have no coordinates. Fetch the"
            " dataset again, or check the folder's layout."
        )
    try:
        table = (
            _with_index(pd.read_parquet(path))
            if path.suffix == ".parquet"
            else text_table(path, error, "position table", separator=separator, names=names)
        )
    except (ValueError, OSError, EOFError, ImportError) as problem:  # without pyarrow, no parquet
        raise error(f"The position table {path} cannot be read: {problem}") from problem
    wanted = {name.casefold(): name for name in (*columns, *flags)}
    found = [bare(str(name)) for name in table.columns]
    table.columns = [wanted.get(name.casefold(), name) for name in found]
    _check_numbers(table, columns, flags, path, error)
    return table


def text_table(
    path: Path,
    error: type[DataError],
    what: str,
    *,
    separator: str = "",
    names: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Read a table of which every field stays text; empty lines are nothing.

    Where R has written names of rows, it leaves out the name of their column, which is "" here.

    Parameters
    ----------
    path : Path
    error : type of DataError
        What to raise for damage, and for rows of another length than the header.
    what : str
        What to call the file in a message: ``"position table"``.
    separator : str
        By default a tab where the first line has one, else a comma or a semicolon.
    names : sequence of str, optional
        Of the columns, for a file without a header.
    """
    import pandas as pd

    whole = lines_of(read_text(path, error, what))
    numbers = [number for number, line in enumerate(whole, start=whole.first) if line.strip()]
    lines = [line for line in whole if line.strip()]
    if not lines:
        raise error(f"The {what} {path} is empty. Copy it again.")
    separator = separator or ("\t" if "\t" in lines[0] else max(",;", key=lines[0].count))
    rows = [fields_of(line, separator) for line in lines]
    columns = list(names) if names else rows.pop(0)
    if not names and {len(row) for row in rows} == {len(columns) + 1}:
        ends_empty = not any(row[-1] for row in rows)
        columns = [*columns, ""] if ends_empty else ["", *columns]
    for number, row in zip(numbers[len(lines) - len(rows) :], rows, strict=True):
        if len(row) != len(columns):
            raise error(
                f"Row {number} of {path} has {counted(len(row), 'field')},"
                f" {', '.join(row[:3])}, ..., but there are {len(columns)} columns. Is it cut off,"
                " or is a decimal point written as a comma? Correct it, or copy the file again."
            )
    return pd.DataFrame(rows, columns=columns, dtype=str)


def _with_index(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of which an index that pandas has written is the first column."""
    return table if table.index.dtype.kind in "iu" else table.reset_index()


def as_flags(values: Any, where: str, error: type[DataError]) -> np.ndarray:
    """Return values that say yes or no as bool, whichever words they use.

    Parameters
    ----------
    values : array of shape (n,)
        Numbers, bool or text: 1 and 0, TRUE and FALSE (as R writes them), yes and no.
    where : str
        What to call them in a message: ``"obs['in_tissue'] of a.h5ad"``.
    error : type of DataError
        What to raise where a value is none of these.
    """
    import pandas as pd

    # Few different values, of which there may be millions.
    codes, different = pd.factorize(np.asarray(values).ravel(), use_na_sentinel=False)
    words = [bare(str(value)) for value in different]
    known = np.array([word.casefold() in (*_YES, *_NO) for word in words], dtype=bool)
    if not known.all():
        odd = ~known[codes]
        raise error(
            f"{where} holds {words[codes[odd][0]]!r} in {int(odd.sum())} of {len(codes)} rows;"
            " expected 1 or 0, true or false, yes or no. Correct it."
        )
    return np.array([word.casefold() in _YES for word in words], dtype=bool)[codes]


def _check_numbers(
    table: pd.DataFrame,
    columns: Sequence[str],
    flags: Sequence[str],
    path: Path,
    error: type[DataError],
) -> None:
    """Refuse missing columns and what is no finite number; the rest becomes numbers in place."""
    import pandas as pd

    missing = [column for column in (*columns, *flags) if column not in table]
    if missing:
        raise error(f"{path} lacks the columns {missing}; found {list(table.columns)}.")
    names = list(table.columns)
    twice = [column for column in (*columns, *flags) if names.count(column) > 1]
    if twice:
        raise error(f"{path} has two columns called {twice[0]!r}. Remove the wrong one.")
    for column in columns:
        numbers = pd.to_numeric(table[column], errors="coerce")
        bad = ~np.isfinite(numbers.to_numpy(dtype=np.float64))
        if bad.any():
            value = table[column].to_numpy()[bad][0]
            raise error(
                f"{path}: column {column!r} holds '{value}' in {int(bad.sum())} of {len(table)}"
                " rows; expected finite numbers."
            )
        table[column] = numbers
    for column in flags:
        table[column] = as_flags(table[column], f"{path}: column {column!r}", error).astype(int)
