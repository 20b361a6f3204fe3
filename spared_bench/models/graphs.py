"""Which spots are neighbours, as edge lists that do not depend on the order of the spots.

No rule here connects spots of two slides, and none breaks ties by storage order: where several
spots are equally far, all of them count or none does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spared_bench.data import Slides
from spared_bench.geometry import rows_by_slide, spacing

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

# Between sqrt(2), the diagonal of a square array, and sqrt(3), the second ring of a hexagonal one.
_LATTICE_REACH = 1.58
# In array indices, between 1 of a square array and sqrt(2) of Visium's.
_SQUARE_SPACING = 1.2


def within(coordinates: np.ndarray, radius: float | np.ndarray) -> np.ndarray:
    """Connect every spot to all others that are at most so far away.

    Parameters
    ----------
    coordinates : ndarray of shape (n_spots, 2)
        Of one slide.
    radius : float or ndarray of shape (n_spots,)
        Of the neighbourhood of each spot, in the unit of the coordinates.

    Returns
    -------
    ndarray of int64, of shape (2, n_edges)
        Neighbour and spot, sorted by spot, then by neighbour: messages go from row 0 to row 1.
    """
    from scipy.spatial import cKDTree

    found = cKDTree(coordinates).query_ball_point(coordinates, radius, return_sorted=True)
    spot = np.repeat(np.arange(len(found)), [len(each) for each in found])
    neighbour = np.concatenate([np.empty(0), *found]).astype(np.int64)
    other = spot != neighbour
    return np.stack([neighbour[other], spot[other]])


def nearest(coordinates: np.ndarray, n_neighbours: int, max_distance: float = np.inf) -> np.ndarray:
    """Connect every spot to its nearest ones, and to those as far as the last of these.

    Returns
    -------
    ndarray of int64, of shape (2, n_edges)
        As ``within``; fewer edges where there are fewer spots, or none near enough.
    """
    from scipy.spatial import cKDTree

    n_neighbours = min(n_neighbours, len(coordinates) - 1)
    if n_neighbours < 1:
        return np.empty((2, 0), dtype=np.int64)
    distances, _ = cKDTree(coordinates).query(coordinates, k=n_neighbours + 1)
    return within(coordinates, np.minimum(distances[:, -1], max_distance) * (1 + 1e-6))


def is_square(array_coordinates: np.ndarray) -> bool:
    """Whether an array is square, as in legacy ST, and not hexagonal, as in Visium.

    In Visium's indices, a spot's neighbours are two columns, or a row and a column, away; in a
    square array, one row or column.
    """
    return spacing(array_coordinates) < _SQUARE_SPACING


def lattice(coordinates: np.ndarray) -> np.ndarray:
    """Connect every spot of one slide to those around it: 6 in a hexagonal array, 8 in a square.

    At the border of the tissue a spot has fewer; the "6 nearest" of published code reach across.

    Returns
    -------
    ndarray of int64, of shape (2, n_edges)
        Symmetric; as ``within``.
    """
    return within(coordinates, _LATTICE_REACH * spacing(coordinates))


def hops(edges: np.ndarray, n_spots: int, n_hops: int) -> csr_matrix:
    """Connect all pairs of spots that are 1 to ``n_hops`` steps apart, but no spot to itself.

    Returns
    -------
    sparse matrix of bool, of shape (n_spots, n_spots)
        True at [spot, neighbour]; sorted indices.
    """
    from scipy.sparse import csr_matrix, identity

    step = csr_matrix((np.ones(edges.shape[1]), (edges[1], edges[0])), shape=(n_spots, n_spots))
    stay_or_step = (step + identity(n_spots)).tocsr()
    reached = stay_or_step
    for _ in range(n_hops - 1):
        reached = (reached @ stay_or_step).sign()
    spot, neighbour = reached.nonzero()
    other = spot != neighbour
    ones = np.ones(int(other.sum()), dtype=bool)
    pairs = csr_matrix((ones, (spot[other], neighbour[other])), shape=(n_spots, n_spots))
    pairs.sort_indices()
    return pairs


def lattice_of_slides(slides: Slides) -> np.ndarray:
    """Return the ``lattice`` of every slide, (2, n_edges), in positions among all spots."""
    coordinates = slides.coordinates
    edges = [here[lattice(coordinates[here])] for here in rows_by_slide(slides.slide_ids)]
    return np.concatenate([np.empty((2, 0), dtype=np.int64), *edges], axis=1)
