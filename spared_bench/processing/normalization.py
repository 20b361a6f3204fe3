"""From counts to logged expression that is comparable between spots.

The first two scales keep 0 at 0, so that an unmeasured entry stays recognisable.
"""

from __future__ import annotations

import numpy as np


def transcripts_per_million(counts: np.ndarray, lengths_bp: np.ndarray) -> np.ndarray:
    """Scale counts by gene length and to one million per spot.

    The million is shared among the given genes only, so a value depends on which genes they are.

    Parameters
    ----------
    counts : ndarray of shape (n_spots, n_genes)
    lengths_bp : ndarray of shape (n_genes,)
        Positive.

    Returns
    -------
    ndarray of float64, of shape (n_spots, n_genes)
        A spot without counts is 0 throughout.
    """
    rates = np.asarray(counts, dtype=np.float64) / np.asarray(lengths_bp, dtype=np.float64)
    per_spot = rates.sum(axis=1, keepdims=True)
    rates *= 1e6
    return np.divide(rates, per_spot, out=rates, where=per_spot > 0)


def log2_tpm(counts: np.ndarray, lengths_bp: np.ndarray) -> np.ndarray:
    """Return log2(TPM + 1), (n_spots, n_genes)."""
    tpm = transcripts_per_million(counts, lengths_bp)
    tpm += 1
    return np.log2(tpm, out=tpm)


def log1p_cp10k(counts: np.ndarray, library_sizes: np.ndarray) -> np.ndarray:
    """Return ln(1 + counts per 10,000 counts of the spot).

    Parameters
    ----------
    counts : ndarray of shape (n_spots, n_genes)
    library_sizes : ndarray of shape (n_spots,)
        All counts of each spot, over more genes than the given ones, so that a value does not
        depend on the choice of genes. A spot of size 0 is 0 throughout.
    """
    values = np.asarray(counts, dtype=np.float64) * 1e4
    sizes = np.asarray(library_sizes, dtype=np.float64)[:, None]
    np.divide(values, sizes, out=values, where=sizes > 0)
    return np.log1p(values, out=values)


def log_share(counts: np.ndarray) -> np.ndarray:
    """Return ln((1 + counts) / sum over genes of (1 + counts)), as the released code of ASIGN does.

    The sum is over the given genes alone, so a value depends on which genes they are; every entry
    counts as measured, a count of 0 as well.

    Parameters
    ----------
    counts : ndarray of shape (n_spots, n_genes)

    Returns
    -------
    ndarray of float64, of shape (n_spots, n_genes)
        Negative; 0 where there is one gene.
    """
    more = np.asarray(counts, dtype=np.float64) + 1
    return np.log(more / more.sum(axis=1, keepdims=True))
