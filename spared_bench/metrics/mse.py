"""Mean squared and mean absolute error over all measured entries."""

from __future__ import annotations

import numpy as np

from spared_bench.metrics.arrays import blocks, checked


def mse(truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean squared error.

    Parameters
    ----------
    truth, prediction : ndarray of shape (n_spots, n_genes)
        Expression in one layer, in its unit.
    mask : ndarray of bool, of shape (n_spots, n_genes)
        True where measured.

    Returns
    -------
    ndarray of shape ()
        In the squared unit; nan if nothing was measured.

    Raises
    ------
    ShapeMismatchError
        If the three arrays differ in shape.
    """
    return _mean_error(np.square, truth, prediction, mask)


def mae(truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean absolute error; parameters, nan and errors as for ``mse``."""
    return _mean_error(np.abs, truth, prediction, mask)


def _mean_error(
    size: np.ufunc, truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray
) -> np.ndarray:
    truth, prediction, mask = checked(truth, prediction, mask)
    total = sum(float(size(t - p).sum()) for t, p, _ in blocks(truth, prediction, mask))
    n_seen = int(mask.sum())
    return np.asarray(total / n_seen if n_seen else np.nan)
