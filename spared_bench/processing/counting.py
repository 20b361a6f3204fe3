"""Sums and selections of large sparse counts, each in one pass and without a copy on the way.

scipy turns a matrix into float64 to add it up, and into one of bools to count what is seen; of 90
million counts, each is a gigabyte. Sums are taken here in float64, in the order of the entries, as
scipy's are, so that they are the same to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from spared_bench.processing.compiled import compiled

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


def spot_sums(counts: csr_matrix, genes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Add up the counts of every spot, of all genes and of some.

    Parameters
    ----------
    counts : sparse matrix of shape (n_spots, n_genes)
    genes : ndarray of bool, of shape (n_genes,)
        Those of the second sum.

    Returns
    -------
    of_all, of_some : ndarray of float64, of shape (n_spots,)
    """
    sums: tuple[np.ndarray, np.ndarray] = _spot_sums(
        counts.data, counts.indices, counts.indptr, genes
    )
    return sums


def gene_sums(
    counts: csr_matrix, slide_ids: np.ndarray, fitted: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Add up the counts of every gene, and count the spots in which it is seen.

    Parameters
    ----------
    counts : sparse matrix of shape (n_spots, n_genes)
    slide_ids : ndarray of shape (n_spots,)
    fitted : ndarray of bool, of shape (n_spots,)
        The spots that are asked.

    Returns
    -------
    totals : ndarray of float64, of shape (n_genes,)
    seen : ndarray of int, of shape (n_slides, n_genes)
        Spots of each slide with a count above 0; slides that have fitted spots, sorted.
    spots : ndarray of int, of shape (n_slides,)
        Fitted spots of each slide.
    """
    slides, of_fitted = np.unique(slide_ids[fitted], return_inverse=True)
    slide_of = np.full(len(slide_ids), -1, dtype=np.int64)
    slide_of[fitted] = of_fitted
    totals, seen = _gene_sums(
        counts.data, counts.indices, counts.indptr, slide_of, len(slides), counts.shape[1]
    )
    return totals, seen, np.bincount(of_fitted, minlength=len(slides))


def stacked(matrices: Sequence[csr_matrix], columns: Sequence[np.ndarray]) -> csr_matrix:
    """Stack some columns of each matrix, without the zeros among their entries.

    Parameters
    ----------
    matrices : sequence of csr_matrix
        Of one dtype.
    columns : sequence of ndarray of int, of shape (n_columns,)
        Which column of each matrix becomes which of the result; each at most once.

    Returns
    -------
    csr_matrix of shape (n_rows of all, n_columns)
    """
    from scipy.sparse import csr_matrix

    n_columns = len(columns[0])
    targets = [_targets(m.shape[1], picked) for m, picked in zip(matrices, columns, strict=True)]
    lengths = [
        _kept(m.data, m.indices, m.indptr, target)
        for m, target in zip(matrices, targets, strict=True)
    ]
    indptr = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
    small = max(int(indptr[-1]), n_columns) <= np.iinfo(np.int32).max
    data = np.empty(indptr[-1], dtype=matrices[0].dtype)
    indices = np.empty(indptr[-1], dtype=np.int32 if small else np.int64)
    row = 0
    for matrix, target in zip(matrices, targets, strict=True):
        here = slice(indptr[row], indptr[row + matrix.shape[0]])
        n = matrix.indptr[-1]
        _pick(matrix.data[:n], matrix.indices, target, True, data[here], indices[here])
        row += matrix.shape[0]
    indptr = indptr.astype(indices.dtype)
    return csr_matrix((data, indices, indptr), shape=(row, n_columns), copy=False)


def with_columns(counts: csr_matrix, columns: np.ndarray) -> csr_matrix:
    """Return some columns of a matrix, in the given order, each at most once."""
    from scipy.sparse import csr_matrix

    target = _targets(counts.shape[1], columns)
    lengths = _kept(counts.data, counts.indices, counts.indptr, target, zeros=True)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(counts.indptr.dtype)
    data = np.empty(indptr[-1], dtype=counts.dtype)
    indices = np.empty(indptr[-1], dtype=counts.indices.dtype)
    _pick(counts.data[: counts.indptr[-1]], counts.indices, target, False, data, indices)
    shape = (counts.shape[0], len(columns))
    return csr_matrix((data, indices, indptr), shape=shape, copy=False)


def shortened(counts: csr_matrix, rows: np.ndarray) -> csr_matrix:
    """Return some rows of a matrix, in the memory of that matrix, which is of no use any more.

    Parameters
    ----------
    counts : csr_matrix of shape (n_rows, n_columns)
    rows : ndarray of bool, of shape (n_rows,)
    """
    from scipy.sparse import csr_matrix

    indptr = np.concatenate([[0], np.cumsum(np.diff(counts.indptr)[rows])])
    indptr = indptr.astype(counts.indptr.dtype)
    _move(counts.data, counts.indices, counts.indptr, rows)
    data, indices = counts.data[: indptr[-1]], counts.indices[: indptr[-1]]
    shape = (len(indptr) - 1, counts.shape[1])
    return csr_matrix((data, indices, indptr), shape=shape, copy=False)


def _targets(n_columns: int, columns: np.ndarray) -> np.ndarray:
    """Return where each column goes, -1 where nowhere."""
    target = np.full(n_columns, -1, dtype=np.int64)
    target[columns] = np.arange(len(columns))
    return target


@compiled()
def _spot_sums(
    data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, genes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    n_spots = len(indptr) - 1
    of_all, of_some = np.zeros(n_spots), np.zeros(n_spots)
    for spot in range(n_spots):
        total, part = 0.0, 0.0
        for at in range(indptr[spot], indptr[spot + 1]):
            total += data[at]
            if genes[indices[at]]:
                part += data[at]
        of_all[spot], of_some[spot] = total, part
    return of_all, of_some


@compiled()
def _gene_sums(
    data: np.ndarray,
    indices: np.ndarray,
    indptr: np.ndarray,
    slide_of: np.ndarray,
    n_slides: int,
    n_genes: int,
) -> tuple[np.ndarray, np.ndarray]:
    totals, seen = np.zeros(n_genes), np.zeros((n_slides, n_genes), dtype=np.int64)
    for spot in range(len(indptr) - 1):
        slide = slide_of[spot]
        if slide < 0:
            continue
        for at in range(indptr[spot], indptr[spot + 1]):
            totals[indices[at]] += data[at]
            if data[at] > 0:
                seen[slide, indices[at]] += 1
    return totals, seen


@compiled()
def _kept(
    data: np.ndarray,
    indices: np.ndarray,
    indptr: np.ndarray,
    target: np.ndarray,
    zeros: bool = False,
) -> np.ndarray:
    """Return how many entries of each row are kept."""
    kept = np.zeros(len(indptr) - 1, dtype=np.int64)
    for row in range(len(kept)):
        for at in range(indptr[row], indptr[row + 1]):
            if target[indices[at]] >= 0 and (zeros or data[at] != 0):
                kept[row] += 1
    return kept


@compiled()
def _pick(
    data: np.ndarray,
    indices: np.ndarray,
    target: np.ndarray,
    without_zeros: bool,
    to_data: np.ndarray,
    to_indices: np.ndarray,
) -> None:
    to = 0
    for at in range(len(data)):
        column = target[indices[at]]
        if column >= 0 and (data[at] != 0 or not without_zeros):
            to_data[to] = data[at]
            to_indices[to] = column
            to += 1


@compiled()
def _move(data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, rows: np.ndarray) -> None:
    to = 0
    for row in range(len(rows)):
        if rows[row]:
            for at in range(indptr[row], indptr[row + 1]):
                data[to], indices[to] = data[at], indices[at]
                to += 1
