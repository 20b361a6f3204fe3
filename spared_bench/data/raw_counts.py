"""Whether values are raw counts that float32 holds, told by spot and gene.

Beside ``contract.validate_counts``, which knows no names, and whose text stands in published keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from spared_bench.errors import CountsError

#: From here on, float32 leaves whole numbers out.
TOO_MANY = 2**24
_OTHERS = "Raw counts are whole numbers: give the file, or the layer, that holds them."


def require_counts(matrix: Any, spots: Sequence[str], genes: Sequence[str], where: str) -> None:
    """Check that a matrix holds raw counts: finite, whole, from 0 to 16,777,215.

    Parameters
    ----------
    matrix : ndarray or scipy sparse matrix, of shape (n_spots, n_genes)
    spots, genes : sequence of str
        The names of its rows and columns.
    where : str
        What to call the matrix in a message, e.g. ``"X of slide 'A1'"``.

    Raises
    ------
    CountsError
        Naming the first offending value, its gene and spot, and what to do.
    """
    if problem := wrong_count(matrix, spots, genes):
        raise CountsError(f"{where} holds {problem}")


def wrong_count(matrix: Any, spots: Sequence[str], genes: Sequence[str]) -> str:
    """Return what is wrong with the first value that is no raw count; empty where all are.

    See ``require_counts``. The answer follows on "holds".
    """
    values = np.asarray(matrix.data if hasattr(matrix, "tocsr") else matrix)
    if values.dtype.kind not in "iufb":
        return f"{values.dtype}; raw counts must be numbers."
    if _all_are_counts(values):
        return ""
    exact = _inexact_from(values.dtype)
    for wrong, told in (
        (
            lambda: ~np.isfinite(values),
            "{value} for {place}; raw counts are finite. Correct it: 0 where nothing was counted.",
        ),
        (
            lambda: values < 0,
            f"negative values ({{value}} for {{place}}), so it is scaled or centred. {_OTHERS}",
        ),
        (
            lambda: values % 1 != 0,
            f"fractions ({{value}} for {{place}}), so it is normalised or log-transformed."
            f" {_OTHERS}",
        ),
        (
            lambda: (values >= exact) & (exact < TOO_MANY),
            f"{{value}} for {{place}}, as {values.dtype}, which leaves whole numbers out from"
            f" {exact:,} on. Write the file again from counts that were never"
            " of that type: as float32 or int32.",
        ),
        (
            lambda: values >= TOO_MANY,
            "{value} for {place}. Of so many no spot has molecules, and counts from"
            f" {TOO_MANY:,} on are not kept exactly. Correct it, or leave this gene out.",
        ),
    ):
        with np.errstate(invalid="ignore"):
            bad = wrong()
        if bad.any():
            value = f"{values.flat[np.flatnonzero(bad)[0]]:.7g}"
            return told.format(value=value, place=first_place(matrix, bad, spots, genes))
    return ""


def _all_are_counts(values: np.ndarray) -> bool:
    if not values.size or values.dtype.kind == "b":
        return True
    # not where one is nan
    within = values.min() >= 0 and float(values.max()) < _inexact_from(values.dtype)
    return bool(within and (values.dtype.kind in "iu" or (np.rint(values) == values).all()))


def _inexact_from(kind: np.dtype) -> int:
    """Return from where on float32, or a shorter type of the values, leaves whole numbers out."""
    return min(TOO_MANY, 2 ** (np.finfo(kind).nmant + 1)) if kind.kind == "f" else TOO_MANY


def first_place(matrix: Any, bad: np.ndarray, spots: Sequence[str], genes: Sequence[str]) -> str:
    """Return the gene and the spot of the first bad value among the stored ones."""
    at = int(np.flatnonzero(bad)[0])
    if hasattr(matrix, "tocsr"):
        entries = matrix.tocoo()
        spot, gene = entries.row[at], entries.col[at]
    else:
        spot, gene = np.unravel_index(at, bad.shape)
    return f"gene {str(genes[gene])!r} of spot {str(spots[spot])!r}"
