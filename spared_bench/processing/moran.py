"""Moran's I: how much neighbouring spots resemble each other in a gene."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scipy.sparse import csr_matrix


_BLOCK = 256  # genes at a time, so that no copy of all values is made


def morans_i(values: np.ndarray, graph: csr_matrix) -> np.ndarray:
    """Moran's I of every gene on one slide.

    Weights are the graph with each row divided by its sum, as in squidpy, whose own function costs
    ten times as much on a slide of a few thousand spots, permutations left aside.

    Parameters
    ----------
    values : ndarray of shape (n_spots, n_genes)
    graph : sparse matrix of shape (n_spots, n_spots)
        See ``neighbour_graph``.

    Returns
    -------
    ndarray of shape (n_genes,)
        1 for perfect resemblance, near 0 for none; nan for a gene that is constant on the slide,
        and for all genes where no spot has a neighbour.
    """
    from scipy.sparse import diags

    sums = graph @ np.ones(graph.shape[0])
    connected = int((sums > 0).sum())  # the sum of all weights
    weights = diags(np.divide(1.0, sums, out=np.zeros_like(sums), where=sums > 0)) @ graph
    scores = np.full(values.shape[1], np.nan)
    if connected == 0:
        return scores
    for start in range(0, values.shape[1], _BLOCK):
        z = np.asarray(values[:, start : start + _BLOCK], dtype=np.float64)
        varies = np.ptp(z, axis=0) > 0  # exactly: a mean may miss a constant by rounding
        z = z - z.mean(axis=0)
        above = (z * (weights @ z)).sum(axis=0) * len(z)
        below = (z * z).sum(axis=0) * connected
        np.divide(above, below, out=scores[start : start + _BLOCK], where=varies)
    return scores


def mean_morans_i(slides: Iterable[tuple[np.ndarray, csr_matrix]]) -> np.ndarray:
    """Mean over slides of Moran's I, each slide with the same weight.

    Parameters
    ----------
    slides : iterable of (values, graph)
        As for ``morans_i``; at least one.

    Returns
    -------
    ndarray of shape (n_genes,)
        nan slides are ignored; nan where all are.
    """
    per_slide = np.stack([morans_i(values, graph) for values, graph in slides])
    defined = ~np.isnan(per_slide)
    n_defined = defined.sum(axis=0)
    total = np.where(defined, per_slide, 0.0).sum(axis=0)
    return np.divide(total, n_defined, out=np.full(len(total), np.nan), where=n_defined > 0)


def most_autocorrelated(scores: np.ndarray, gene_ids: np.ndarray, n_genes: int) -> np.ndarray:
    """Return the positions of the ``n_genes`` highest scores, descending; nan comes last.

    Genes that tie are ordered by id. All are returned where there are fewer.
    """
    return np.lexsort((gene_ids, -scores))[:n_genes]
