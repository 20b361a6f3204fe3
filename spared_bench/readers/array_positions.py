"""Positions in the array of spots of which only the pixels are known."""

from __future__ import annotations

import math

import numpy as np

from spared_bench.readers.lattice import nearest_px

#: Array column and row of a step to the first and the second neighbour: Visium's array counts half
#: distances along its rows; of a checkered one, every second place is empty.
_HEXAGONAL, _SQUARE, _CHECKERED = ([[2, 0], [1, 1]], [[1, 0], [0, 1]], [[1, 1], [-1, 1]])
_NEAR = 1.25  # of the distance of neighbours: the diagonal of a square array is longer
_TURNED = math.radians(20)  # of a direction: what is farther from it is another neighbour
_CHECKERED_WITHIN = math.radians(10)  # of the diagonal
_FEWEST, _STRAIGHT = 4, 0.5
_ASTRAY = 0.15  # of the distance of neighbours: arrays are stretched, not torn
_FIRST_REACH = 3.0  # of the distance of neighbours, from the middle


def array_from_pixels(centres: np.ndarray) -> np.ndarray:
    """Return the positions of spots in the array that they were printed in, from 0.

    Parameters
    ----------
    centres : ndarray of shape (n_spots, 2)
        x and y of one slide in pixels, of a hexagonal or square array, which may be turned,
        stretched a little and have gaps.

    Returns
    -------
    ndarray of int64, of shape (n_spots, 2)
        Column and row; of a hexagonal array as Visium counts, whose columns are half distances.
        The array's rows are the direction of neighbours that is nearest to the image's. Spots that
        are in no such array, and fewer than four, stand at their pixels, in half distances.
    """
    centres = np.asarray(centres, dtype=np.float64)
    found = _in_array(centres) if len(centres) >= _FEWEST else None
    if found is None:
        # In half distances, so that the rows of a hexagonal lattice do not fall together.
        half = max(nearest_px(centres) / 2, 1e-9) if len(centres) > 1 else 1.0
        return np.rint((centres - centres.min(axis=0)) / half).astype(np.int64)
    return found - found.min(axis=0)


def _in_array(centres: np.ndarray) -> np.ndarray | None:
    """Return columns and rows of spots, or nothing where they are in no array."""
    steps = _to_neighbours(centres)
    if not len(steps):
        return None
    angles = np.arctan2(steps[:, 1], steps[:, 0])
    turns = {n: np.exp(1j * n * angles).mean() for n in (4, 6)}
    n = max(turns, key=lambda n: abs(turns[n]))
    if abs(turns[n]) < _STRAIGHT:
        return None
    first = float(np.angle(turns[n])) / n
    places, between = _HEXAGONAL if n == 6 else _SQUARE, 2 * math.pi / n
    if n == 4 and abs(abs(first) - math.pi / 4) < _CHECKERED_WITHIN:
        places, first = _CHECKERED, first % (math.pi / 2)
    basis = _mean_step(steps, angles, first), _mean_step(steps, angles, first + between)
    lattice = _fitted(centres, np.array(basis))
    return None if lattice is None else lattice @ np.array(places)


def _to_neighbours(centres: np.ndarray) -> np.ndarray:
    """Return the ways from every spot to its neighbours, (n_steps, 2), in pixels."""
    from scipy.spatial import cKDTree

    distances, others = cKDTree(centres).query(centres, k=range(2, 2 + min(6, len(centres) - 1)))
    near = (distances > 0) & (distances < _NEAR * np.median(distances[:, 0]))
    ways: np.ndarray = centres[others[near]] - centres[np.nonzero(near)[0]]
    return ways


def _mean_step(steps: np.ndarray, angles: np.ndarray, direction: float) -> np.ndarray:
    away = np.abs(np.angle(np.exp(1j * (angles - direction))))
    near = steps[away < _TURNED]
    step: np.ndarray = near.mean(axis=0) if len(near) else np.full(2, np.nan)
    return step


def _fitted(centres: np.ndarray, basis: np.ndarray) -> np.ndarray | None:
    """Return how many steps each spot is from the middle one, if all spots lie near such places.

    The steps are fitted to more and more spots, from the middle to the edge, so that a small error
    of their length does not add up.
    """
    if not np.isfinite(basis).all():
        return None
    pitch = float(np.linalg.norm(basis, axis=1).mean())
    away = np.linalg.norm(centres - np.median(centres, axis=0), axis=1)
    origin, reach = centres[np.argmin(away)], _FIRST_REACH
    while True:
        if np.linalg.matrix_rank(basis) < 2:
            return None
        steps = np.rint((centres - origin) @ np.linalg.inv(basis))
        fitted = away <= reach * pitch
        design = np.column_stack([steps, np.ones(len(steps))])[fitted]
        solution, _, rank, _ = np.linalg.lstsq(design, centres[fitted], rcond=None)
        if rank == 3:
            basis, origin = solution[:2], solution[2]
        if fitted.all():
            break
        reach *= 1.5
    astray = np.linalg.norm(steps @ basis + origin - centres, axis=1)
    if rank < 3 or float(np.sqrt((astray**2).mean())) > _ASTRAY * pitch:
        return None
    return steps.astype(np.int64) if len(np.unique(steps, axis=0)) == len(steps) else None
