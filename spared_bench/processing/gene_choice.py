"""Which of the scored genes vary most, and which lie in patterns: chosen on training slides.

Both choices look at what was measured on the training slides alone, so that they are the same for
all methods and know nothing of the slides that are scored.
"""

from __future__ import annotations

import numpy as np

from spared_bench.geometry import rows_by_slide
from spared_bench.processing.graph import neighbour_graph
from spared_bench.processing.moran import mean_morans_i

MOST_GENES = 50


def number_chosen(n_genes: int) -> int:
    """Return how many genes are chosen: half of them, rounded up, and 50 at most."""
    return min(MOST_GENES, (n_genes + 1) // 2)


def variable_genes(values: np.ndarray, slide_ids: np.ndarray, gene_ids: np.ndarray) -> np.ndarray:
    """Return which genes vary most: by the mean over slides of their variance on a slide.

    As genes are chosen for HEST-Benchmark (Jaume et al., NeurIPS 2024), with the slides on an equal
    footing.

    Parameters
    ----------
    values : ndarray of shape (n_spots, n_genes)
        Normalised and logged expression of training slides, 0 where nothing was measured.
    slide_ids : ndarray of str, of shape (n_spots,)
    gene_ids : ndarray of str, of shape (n_genes,)
        Order genes that tie.

    Returns
    -------
    ndarray of bool, of shape (n_genes,)
    """
    variances = [
        np.asarray(values[rows], dtype=np.float64).var(axis=0) for rows in rows_by_slide(slide_ids)
    ]
    return _highest(np.mean(variances, axis=0), gene_ids)


def spatial_genes(
    values: np.ndarray, slide_ids: np.ndarray, places: np.ndarray, gene_ids: np.ndarray
) -> np.ndarray:
    """Return which genes lie in patterns: by the mean over slides of Moran's I.

    Parameters
    ----------
    values, slide_ids, gene_ids
        As for ``variable_genes``.
    places : ndarray of shape (n_spots, 2)
        Centres of the spots.

    Returns
    -------
    ndarray of bool, of shape (n_genes,)
        Genes without a defined Moran's I come last.
    """
    slides = [(values[rows], neighbour_graph(places[rows])) for rows in rows_by_slide(slide_ids)]
    return _highest(mean_morans_i(slides), gene_ids)


def _highest(scores: np.ndarray, gene_ids: np.ndarray) -> np.ndarray:
    order = np.lexsort((gene_ids, -np.nan_to_num(scores, nan=-np.inf)))
    chosen = np.zeros(len(scores), dtype=bool)
    chosen[order[: number_chosen(len(scores))]] = True
    return chosen
