"""Coefficient of determination, of each gene across spots or of each spot across genes."""

from __future__ import annotations

import numpy as np

from spared_bench.metrics.arrays import centred, constant_rows, for_columns, for_rows


def r2_gene(truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """R2 of each gene across spots, over measured entries: 1 - squared error / squared deviation.

    The deviation is from the mean of the evaluated spots, not of the training spots. A prediction
    that is constant has a value, at most 0.

    Parameters
    ----------
    truth, prediction : ndarray of shape (n_spots, n_genes)
    mask : ndarray of bool, of shape (n_spots, n_genes)
        True where measured.

    Returns
    -------
    ndarray of shape (n_genes,)
        At most 1, and in the order of the columns; nan for a gene with fewer than two measured
        entries, and for one whose truth is constant over its measured entries.

    Raises
    ------
    ShapeMismatchError
        If the three arrays differ in shape.
    """
    return for_columns(_r2, truth, prediction, mask)


def r2_spot(truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """R2 of each spot across genes, (n_spots,); see ``r2_gene``."""
    return for_rows(_r2, truth, prediction, mask)


def _r2(truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray) -> np.ndarray:
    defined = ~constant_rows(truth, mask)
    with np.errstate(invalid="ignore"):
        error = np.square(truth - prediction).sum(axis=1)
        deviation = np.square(centred(truth, mask)).sum(axis=1)
    ratio = np.divide(error, deviation, out=np.full(len(error), np.nan), where=deviation != 0)
    return np.where(defined, 1.0 - ratio, np.nan)
