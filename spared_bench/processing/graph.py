"""Which spots of a slide are neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


def neighbour_graph(coordinates: np.ndarray, n_neighbours: int = 6) -> csr_matrix:
    """Connect every spot of one slide to its nearest ones, through scikit-learn.

    It is the graph of ``squidpy.gr.spatial_neighbors_knn``, which asks scikit-learn as well; no
    process has to import squidpy for it, a second or two. It is directed: at the border of a tissue
    or beside a gap, a spot reaches over to farther spots, which need not count it among their
    nearest. Among equally distant spots, storage order decides.

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
    from scipy.sparse import csr_matrix
    from sklearn.neighbors import NearestNeighbors

    n_spots = len(coordinates)
    n_neighbours = min(n_neighbours, n_spots - 1)
    if n_neighbours < 1:
        return csr_matrix((n_spots, n_spots), dtype=np.float64)
    places = np.asarray(coordinates, dtype=np.float64)
    nearest = NearestNeighbors(n_neighbors=n_neighbours).fit(places)
    neighbours = nearest.kneighbors(return_distance=False).ravel()
    spots = np.repeat(np.arange(n_spots), n_neighbours)
    return csr_matrix((np.ones(len(spots)), (spots, neighbours)), shape=(n_spots, n_spots))
