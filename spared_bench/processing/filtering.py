"""Which spots and genes are measured well enough to be kept.

The rules of the SpaRED benchmark (Mejia et al., MICCAI 2024). All bounds are exclusive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spared_bench.processing.counting import gene_sums
from spared_bench.processing.ties import published_order

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


def totals(counts: csr_matrix, axis: int) -> np.ndarray:
    """Add up counts over spots (``axis=0``) or genes (``axis=1``), in float64."""
    # scipy's own sum adds up in the precision of the counts, whatever dtype it is asked for.
    ones = np.ones(counts.shape[axis], dtype=np.float64)
    return ones @ counts if axis == 0 else counts @ ones


def between(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return where values lie strictly between two bounds."""
    return (values > low) & (values < high)


def expressed_fractions(counts: csr_matrix, slide_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of spots in which each gene is seen.

    Parameters
    ----------
    counts : sparse matrix of shape (n_spots, n_genes)
    slide_ids : ndarray of shape (n_spots,)

    Returns
    -------
    smallest : ndarray of shape (n_genes,)
        On the slide where it is smallest.
    overall : ndarray of shape (n_genes,)
        Over all spots, whatever their slide.
    """
    _, seen, spots = gene_sums(counts, slide_ids, np.ones(len(slide_ids), dtype=bool))
    return shares(seen, spots)


def shares(seen: np.ndarray, spots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the shares of ``expressed_fractions`` from the numbers of ``counting.gene_sums``."""
    return (seen / spots[:, None]).min(axis=0), seen.sum(axis=0) / spots.sum()


def gene_order(smallest: np.ndarray, gene_ids: np.ndarray, ties: str) -> np.ndarray:
    """Order genes by the share of spots in which they are seen where they are rarest, descending.

    Parameters
    ----------
    smallest : ndarray of shape (n_genes,)
        From ``expressed_fractions``, in the order of the file.
    gene_ids : ndarray of str, of shape (n_genes,)
    ties : {"id", "published"}
        What decides between equal shares: the id, whatever the order of the file; or their places
        in the file, as in ``processing.ties``.

    Returns
    -------
    ndarray of int, of shape (n_genes,)
    """
    if ties == "published":
        return published_order(smallest)
    return np.lexsort((gene_ids, -smallest))


def sparsity_prefix(order: np.ndarray, overall: np.ndarray, real_fraction: float) -> np.ndarray:
    """Choose the longest list of best-measured genes that is real enough on average.

    The list ends at the last position where the mean of ``overall`` up to there is at least
    ``real_fraction``: an earlier dip does not end it.

    Parameters
    ----------
    order : ndarray of int, of shape (n_genes,)
        From ``gene_order``.
    overall : ndarray of shape (n_genes,)
        From ``expressed_fractions``.
    real_fraction : float
        In [0, 1].

    Returns
    -------
    ndarray of int
        Positions of the kept genes, in order; empty if not even the first gene qualifies and no
        longer list does.
    """
    running_mean = np.cumsum(overall[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero(running_mean >= real_fraction)
    return order[: enough[-1] + 1] if len(enough) else order[:0]
