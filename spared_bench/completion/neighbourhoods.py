"""Which spots are near a spot, as a table of positions: one row per spot, itself first.

A table is linear in the number of spots, and lives on the device where it is used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spared_bench.data import Slides
from spared_bench.geometry import rows_by_slide, spacing

# In units of the lattice. Two steps reach sqrt(3) and 2 in a hexagonal lattice, where the next
# spot is sqrt(7) = 2.65 away, and sqrt(2) and 2 in a square one, where it is sqrt(5) = 2.24 away.
_TWO_STEPS = 2.12
_MOST = 24  # neighbours within reach of spots that lie on no lattice: the nearest of them


@dataclass(frozen=True)
class NeighbourTable:
    """The neighbours of every spot.

    Parameters
    ----------
    index : ndarray of int64, of shape (n_spots, width)
        Positions of spots; the first column is the spot itself. Where there is no neighbour, the
        spot itself again, to be left aside.
    present : ndarray of bool, of shape (n_spots, width)
        False where there is no neighbour.
    distance : ndarray of float32, of shape (n_spots, width)
        From the spot, in units of the slide's lattice; 0 where there is no neighbour.
    """

    index: np.ndarray
    present: np.ndarray
    distance: np.ndarray

    def __len__(self) -> int:
        return len(self.index)


def two_hops(slides: Slides) -> NeighbourTable:
    """List the spots at most two lattice steps away, on the same slide, the nearest first.

    Inside a hexagonal lattice these are 18, inside a square one 12; at the border and beside gaps
    fewer. A position counts as two steps away whether or not the spot between is there.
    """
    parts = [
        (rows, *_within(lattice_positions(slides.subset(rows))))
        for rows in rows_by_slide(slides.slide_ids)
    ]
    return _stacked(len(slides), parts)


def nearest(slides: Slides, n_neighbours: int) -> NeighbourTable:
    """List the nearest spots by pixel distance on the same slide; all others where there are few.

    Distances are in pixels; equally near spots come in storage order.
    """
    parts = [
        (rows, *nearest_points(slides.coordinates[rows], n_neighbours))
        for rows in rows_by_slide(slides.slide_ids)
    ]
    return _stacked(len(slides), parts)


def lattice_positions(slide: Slides) -> np.ndarray:
    """Return the positions of one slide's spots in units of the distance to the nearest, (n, 2).

    Pixels are fitted to array indices first, so that spots which were adjusted by a few pixels lie
    on their lattice again, whatever lattice it is; without usable indices, pixels are taken.
    """
    pixels, array = slide.coordinates, slide.array_coordinates
    design = np.column_stack([array - array.mean(axis=0), np.ones(len(array))])
    solution, _, rank, _ = np.linalg.lstsq(design, pixels, rcond=None)
    fitted = design @ solution
    usable = rank == 3 and len(np.unique(array, axis=0)) == len(array)
    points = fitted if usable and _follows(pixels, fitted) else pixels
    return points / spacing(points)


def nearest_points(points: np.ndarray, n_neighbours: int) -> tuple[np.ndarray, np.ndarray]:
    """Return positions and distances of the nearest points, the point itself first.

    Parameters
    ----------
    points : ndarray of shape (n, 2)
    n_neighbours : int
        Besides the point itself; fewer where there are not so many.

    Returns
    -------
    index : ndarray of int64, of shape (n, 1 + n_neighbours)
    distance : ndarray of float64, of that shape
    """
    from scipy.spatial import cKDTree

    n = len(points)
    wanted = min(n_neighbours, n - 1)
    # A few more than are wanted, so that among equally distant ones storage order can decide.
    asked = min(n, wanted + 1 + 8)
    distance, index = cKDTree(points).query(points, k=range(1, asked + 1))
    # More points on one place than were asked for can leave a point out of its own list.
    lost = np.flatnonzero((index != np.arange(n)[:, None]).all(axis=1))
    index[lost, -1] = lost
    own = index == np.arange(n)[:, None]
    distance = np.where(own, -1.0, np.round(distance, 9))
    order = np.lexsort((index, distance), axis=1)[:, : wanted + 1]
    distance = np.maximum(np.take_along_axis(distance, order, axis=1), 0)
    return np.take_along_axis(index, order, axis=1).astype(np.int64), distance


def _within(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    index, distance = nearest_points(points, _MOST)
    distance = np.where(distance <= _TWO_STEPS, distance, np.inf)
    width = int(np.isfinite(distance).sum(axis=1).max())
    return index[:, :width], distance[:, :width]


def _follows(pixels: np.ndarray, fitted: np.ndarray) -> bool:
    """Whether the fitted positions are those of the pixels, to a third of a lattice step."""
    return float(np.abs(pixels - fitted).max()) < spacing(fitted) / 3


def _stacked(
    n_spots: int, parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]]
) -> NeighbourTable:
    """Bring the tables of slides, each with its rows, into one of common width."""
    width = max((index.shape[1] for _, index, _ in parts), default=1)
    table = np.tile(np.arange(n_spots)[:, None], (1, width))
    away = np.full((n_spots, width), np.inf)
    for rows, index, distance in parts:
        away[rows, : index.shape[1]] = distance
        table[rows, : index.shape[1]] = np.where(np.isfinite(distance), rows[index], rows[:, None])
    present = np.isfinite(away)
    return NeighbourTable(table, present, np.where(present, away, 0).astype(np.float32))
