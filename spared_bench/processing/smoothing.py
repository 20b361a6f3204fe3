"""The mean of a spot and its neighbours in the array, as TRIPLEX smooths its targets.

Chung et al., CVPR 2024; github.com/NEXGEM/TRIPLEX: on the square array of first-generation ST, the
mean of log-normalised expression over a spot and those of its eight neighbours that were measured.
A hexagonal array, which the authors do not smooth so, has six.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

#: Steps in array rows and columns to a neighbour. Columns of a hexagonal array count in twos.
_SQUARE = [(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1) if (row, column) != (0, 0)]
_HEXAGONAL = [(0, -2), (0, 2), (-1, -1), (-1, 1), (1, -1), (1, 1)]


def array_mean(values: np.ndarray, array: np.ndarray) -> np.ndarray:
    """Return the mean of each spot and its neighbours in the array of one slide.

    Parameters
    ----------
    values : ndarray of shape (n_spots, n_genes)
    array : ndarray of shape (n_spots, 2)
        Array row and column; rounded where they are adjusted. An array in which rows and columns
        add up to even numbers alone, or to odd ones, is hexagonal.

    Returns
    -------
    ndarray of float64, of shape (n_spots, n_genes)
        A spot without neighbours keeps its values. Of several spots at one place, all count.
    """
    places = np.rint(np.asarray(array, dtype=np.float64))
    parity = np.unique(places.sum(axis=1) % 2)
    steps = _HEXAGONAL if len(places) > 1 and len(parity) == 1 else _SQUARE
    tree = cKDTree(places)
    total = np.asarray(values, dtype=np.float64).copy()
    number = np.ones((len(places), 1))
    for step in steps:
        for spot, found in enumerate(tree.query_ball_point(places + step, 0.1)):
            if found:
                total[spot] += values[found].sum(axis=0)
                number[spot] += len(found)
    return total / number
