"""Sparse matrices as AnnData stores them in HDF5: the wanted rows and columns, and no more."""

from __future__ import annotations

from typing import Any

import numpy as np

#: Data, indices and pointers of a sparse matrix, as arrays of an open file.
Parts = tuple[Any, Any, Any]
_MOST_VALUES = 200_000_000  # of the wanted columns, 2.4 GB


class ByColumns:
    """A matrix that is stored by columns (csc), of which the wanted ones are read once.

    Parameters
    ----------
    parts : Parts
    n_rows, n_columns : int
    """

    def __init__(self, parts: Parts, n_rows: int, n_columns: int) -> None:
        self.parts, self.n_rows, self.n_columns = parts, n_rows, n_columns
        self._kept: tuple[tuple[int, ...], Any] | None = None

    def read(self, start: int, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return these rows, counted from ``start``, (n, n_columns), float64.

        Raises
        ------
        ValueError
            If what is stored is no such matrix, or too much of it is wanted.
        """
        wanted = tuple(columns.tolist())
        if self._kept is None or self._kept[0] != wanted:
            self._kept = wanted, self._columns(columns)
        return np.asarray(self._kept[1][start + rows].toarray())

    def _columns(self, columns: np.ndarray) -> Any:
        from scipy.sparse import csc_matrix

        data, indices, indptr = self.parts
        pointers = np.asarray(indptr[:], dtype=np.int64)
        each = np.diff(pointers)
        if (each < 0).any() or (each > self.n_rows).any() or pointers[0] < 0:
            raise ValueError("its column pointers do not rise, or point beyond the matrix")
        if each[columns].sum() > _MOST_VALUES:
            raise ValueError(
                f"more than {_MOST_VALUES:,} values would be read at once. Write"
                " `adata.X = adata.X.tocsr()`"
            )
        spans = [slice(int(pointers[at]), int(pointers[at + 1])) for at in columns]
        found = [np.asarray(data[span], np.float64) for span in spans]
        where = [np.asarray(indices[span], np.int64) for span in spans]
        for values, places, n in zip(found, where, each[columns], strict=True):
            if len(values) != n or len(places) != n:
                raise ValueError("it holds fewer values than its columns need")
            if n and not (places.min() >= 0 and places.max() < self.n_rows):
                raise ValueError("a row is beyond the spots")
        starts = np.concatenate([[0], np.cumsum(each[columns])])
        shape = self.n_rows, len(columns)
        joined = np.concatenate(found), np.concatenate(where), starts
        return csc_matrix(joined, shape=shape).tocsr()


def read_rows(
    parts: Parts, start: int, rows: np.ndarray, columns: np.ndarray, n_columns: int
) -> np.ndarray:
    """Return some rows of a matrix that is stored by rows (csr), (n, n_columns), float64.

    Raises
    ------
    ValueError
        If what is stored is no such matrix.
    """
    from scipy.sparse import csr_matrix

    data, indices, indptr = parts
    pointers = np.asarray(indptr[start : start + int(rows.max()) + 2], dtype=np.int64)
    first, last = int(pointers[0]), int(pointers[-1])
    most = (len(pointers) - 1) * n_columns
    if (np.diff(pointers) < 0).any() or first < 0 or last - first > most:
        raise ValueError("its row pointers do not rise, or point beyond the matrix")
    found, where = np.asarray(data[first:last], np.float64), np.asarray(indices[first:last])
    if len(found) != last - first or len(where) != last - first:
        raise ValueError("it holds fewer values than its rows need")
    if len(where) and not (where.min() >= 0 and where.max() < n_columns):
        raise ValueError("a column is beyond the genes")
    block = csr_matrix((found, where, pointers - first), shape=(len(pointers) - 1, n_columns))
    return np.asarray(block[rows][:, columns].toarray())
