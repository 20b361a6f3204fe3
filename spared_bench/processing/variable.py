"""Which genes vary most, beyond what their mean explains, and which have the highest mean."""

from __future__ import annotations

import warnings

import numpy as np


def highest_mean(values: np.ndarray, gene_ids: np.ndarray, n_genes: int) -> np.ndarray:
    """Rank genes by their mean over all spots, zeros included.

    Parameters
    ----------
    values : ndarray of shape (n_spots, n_genes)
        Logged expression, 0 where nothing was measured.
    gene_ids : ndarray of str, of shape (n_genes,)
        Order genes that tie.
    n_genes : int
        How many to return; all where there are fewer.

    Returns
    -------
    ndarray of int
        Columns, the highest mean first.
    """
    means = np.asarray(values, dtype=np.float64).mean(axis=0)
    return np.lexsort((gene_ids, -means))[:n_genes]


def most_variable(
    values: np.ndarray,
    slide_ids: np.ndarray,
    gene_ids: np.ndarray,
    n_genes: int,
    base: float | None = None,
) -> np.ndarray:
    """Rank genes by how many slides count them among their most variable, through scanpy.

    A slide's most variable genes are the ``n_genes`` whose dispersion is highest among genes of
    like mean (Satija et al., Nat. Biotechnol. 2015, as in ``scanpy.pp.highly_variable_genes``).

    Parameters
    ----------
    values : ndarray of shape (n_spots, n_genes)
        Logged expression.
    slide_ids : ndarray of str, of shape (n_spots,)
    gene_ids : ndarray of str, of shape (n_genes,)
        Order genes that tie.
    n_genes : int
        How many to return; all where there are fewer.
    base : float, optional
        Of the logarithm; e by default.

    Returns
    -------
    ndarray of int
        Columns: first by the number of slides, then by mean normalised dispersion, descending.
    """
    from anndata import AnnData
    from scanpy.preprocessing import highly_variable_genes

    n_genes = min(n_genes, values.shape[1])
    spots = AnnData(np.asarray(values, dtype=np.float64), uns={"log1p": {"base": base}})
    spots.obs["slide_id"] = np.asarray(slide_ids, dtype=str)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of genes that are constant on a slide, which rank last
        table = highly_variable_genes(
            spots, n_top_genes=n_genes, batch_key="slide_id", inplace=False
        )
    dispersion = np.nan_to_num(table["dispersions_norm"].to_numpy(dtype=np.float64), nan=-np.inf)
    n_slides = table["highly_variable_nbatches"].to_numpy(dtype=np.int64)
    return np.lexsort((gene_ids, -dispersion, -n_slides))[:n_genes]
