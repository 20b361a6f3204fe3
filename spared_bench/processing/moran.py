"""Moran's I: how much neighbouring spots resemble each other in a gene."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from spared_bench.processing.graph import squidpy_graphs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scipy.sparse import csr_matrix


def morans_i(values: np.ndarray, graph: csr_matrix) -> np.ndarray:
    """Moran's I of every gene on one slide, through squidpy, without permutations.

    Weights are the graph with each row divided by its sum.

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
    from anndata import AnnData

    n_genes = values.shape[1]
    if n_genes == 0 or graph.nnz == 0:
        return np.full(n_genes, np.nan)
    slide = AnnData(X=np.asarray(values, dtype=np.float64), obsp={"spatial_connectivities": graph})
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # Of constant genes, and of p-values (unused) that two spots do not have.
        warnings.simplefilter("ignore")
        table = squidpy_graphs().spatial_autocorr(
            slide, mode="moran", n_perms=None, corr_method=None, copy=True
        )
    return table["I"].reindex(slide.var_names).to_numpy(dtype=np.float64)


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
