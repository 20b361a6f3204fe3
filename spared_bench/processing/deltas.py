"""Expression as the difference from what training spots have on average."""

from __future__ import annotations

import numpy as np


def train_means(values: np.ndarray, is_train: np.ndarray) -> np.ndarray:
    """Mean of each gene over the training spots, filled entries included: (n_genes,)."""
    return np.asarray(values, dtype=np.float64)[np.asarray(is_train, dtype=bool)].mean(axis=0)


def deltas(values: np.ndarray, is_train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Subtract the training mean of each gene.

    Parameters
    ----------
    values : ndarray of shape (n_spots, n_genes)
    is_train : ndarray of bool, of shape (n_spots,)
        At least one is True.

    Returns
    -------
    ndarray of float64, of shape (n_spots, n_genes)
    ndarray of shape (n_genes,)
        The means; add them to a prediction of deltas to score it.
    """
    means = train_means(values, is_train)
    return values - means, means
