"""Which spots of a slide are neighbours."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


def neighbour_graph(coordinates: np.ndarray, n_neighbours: int = 6) -> csr_matrix:
    """Connect every spot of one slide to its nearest ones, through squidpy.

    It is directed: at the border of a tissue or beside a gap, a spot reaches over to farther spots,
    which need not count it among their nearest. Among equally distant spots, storage order decides.

    Parameters
    ----------
    coordinates : ndarray of shape (n_spots, 2)
        Spot centres of one slide, in pixels.
    n_neighbours : int
        Per spot; all other spots where there are fewer.

    Returns
    -------
    sparse matrix of float64, of shape (n_spots, n_spots)
        1 at [i, j] where j is among the nearest spots of i, which is never i itself.
    """
    from anndata import AnnData
    from scipy.sparse import csr_matrix

    gr = squidpy_graphs()
    n_spots = len(coordinates)
    n_neighbours = min(n_neighbours, n_spots - 1)
    if n_neighbours < 1:
        return csr_matrix((n_spots, n_spots), dtype=np.float64)
    slide = AnnData(obsm={"spatial": np.asarray(coordinates, dtype=np.float64)})
    with _quiet():
        if hasattr(gr, "spatial_neighbors_knn"):  # squidpy 1.8; 1.9 takes the older name away
            gr.spatial_neighbors_knn(slide, n_neighs=n_neighbours)
        else:
            gr.spatial_neighbors(slide, coord_type="generic", n_neighs=n_neighbours)
    graph = slide.obsp["spatial_connectivities"].astype(np.float64).tocsr()
    graph.eliminate_zeros()
    return graph


def squidpy_graphs() -> Any:
    """Import ``squidpy.gr``, whose first import warns of its dependencies' own docstrings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from squidpy import gr
    return gr


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep squidpy's line per slide out of our output."""
    logger = logging.getLogger("spatialdata._logging")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
