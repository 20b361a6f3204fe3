"""Spearman's rank correlation of each gene across spots."""

from __future__ import annotations

import numpy as np

from spared_bench.metrics.arrays import checked
from spared_bench.metrics.pearson import pearson_gene


def spearman_gene(truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Correlation of the ranks of each gene across spots, over measured entries.

    Whether a method orders the spots as they are, whatever the scale of its values: one predicted
    as the square of the truth has a Spearman correlation of 1. Ties get their mean rank.

    Parameters
    ----------
    truth, prediction : ndarray of shape (n_spots, n_genes)
        Expression in one layer, e.g. log1p of TPM.
    mask : ndarray of bool, of shape (n_spots, n_genes)
        True where measured.

    Returns
    -------
    ndarray of shape (n_genes,)
        In [-1, 1] and in the order of the columns; nan for a gene with fewer than two measured
        entries, for one whose truth or prediction is constant over its measured entries, and for
        one with a prediction there that is not finite.

    Raises
    ------
    ShapeMismatchError
        If the three arrays differ in shape.
    """
    truth, prediction, mask = checked(truth, prediction, mask)
    return pearson_gene(_ranks(truth, mask), _ranks(prediction, mask), mask)


def _ranks(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Rank the measured entries of each column, nan where they are not finite."""
    from scipy.stats import rankdata

    ranks = np.zeros(values.shape)
    for gene, seen in enumerate(mask.T):
        here = np.asarray(values[seen, gene], dtype=np.float64)
        finite = np.isfinite(here).all()
        ranks[seen, gene] = rankdata(here) if finite and len(here) else np.nan
    return ranks
