"""Pearson correlation, of each gene across spots or of each spot across genes."""

from __future__ import annotations

import numpy as np

from spared_bench.metrics.arrays import centred, constant_rows, for_columns, for_rows


def pearson_gene(truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Pearson correlation of each gene across spots, over measured entries.

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
        entries, and for one whose truth or prediction is constant over its measured entries.

    Raises
    ------
    ShapeMismatchError
        If the three arrays differ in shape.
    """
    return for_columns(_pearson, truth, prediction, mask)


def pearson_spot(truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Pearson correlation of each spot across genes, (n_spots,); see ``pearson_gene``."""
    return for_rows(_pearson, truth, prediction, mask)


def _pearson(truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray) -> np.ndarray:
    defined = ~(constant_rows(truth, mask) | constant_rows(prediction, mask))
    with np.errstate(invalid="ignore"):
        x, y = _unit(centred(truth, mask)), _unit(centred(prediction, mask))
        correlation = np.clip((x * y).sum(axis=1), -1.0, 1.0)
    return np.where(defined, correlation, np.nan)


def _unit(rows: np.ndarray) -> np.ndarray:
    """Scale rows to length 1; by the largest entry first, so that no square under- or overflows."""
    largest = np.abs(rows).max(axis=1, keepdims=True, initial=0.0)
    scaled = np.divide(rows, largest, out=np.zeros_like(rows), where=largest != 0)
    length = np.sqrt(np.square(scaled).sum(axis=1, keepdims=True))
    return np.divide(scaled, length, out=scaled, where=length != 0)
