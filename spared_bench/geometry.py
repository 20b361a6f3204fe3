"""Where spots lie: how far apart they are, and which of them share a slide."""

from __future__ import annotations

import numpy as np


def spacing(coordinates: np.ndarray) -> float:
    """Median distance from a spot to the nearest one elsewhere; 1 where there is none.

    Parameters
    ----------
    coordinates : ndarray of shape (n_spots, 2)
        Of one slide, in any unit; spots on one place count as one.

    Returns
    -------
    float
        In the unit of the coordinates.
    """
    places = np.unique(np.asarray(coordinates, dtype=np.float64), axis=0)
    return float(np.median(nearest_distances(places))) if len(places) > 1 else 1.0


def nearest_distances(coordinates: np.ndarray) -> np.ndarray:
    """Distance from every spot of one slide to the nearest other one, (n_spots,).

    0 where two spots lie on one place; inf for a spot that is alone.
    """
    from scipy.spatial import cKDTree

    distances: np.ndarray = cKDTree(coordinates).query(coordinates, k=2)[0][:, 1]
    return distances


def rows_by_slide(slide_ids: np.ndarray) -> list[np.ndarray]:
    """Positions of the spots of each slide, slides in the order of their first spot.

    Parameters
    ----------
    slide_ids : ndarray of str, of shape (n_spots,)
    """
    return [np.flatnonzero(slide_ids == slide) for slide in dict.fromkeys(slide_ids.tolist())]
