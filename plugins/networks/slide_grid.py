"""The grid in which the spots of a slide lie, and which of its cells are occupied."""

from __future__ import annotations

import numpy as np

_STEP_PX = 20  # what TRIPLEX of 2025 takes for one column or row, in pixels


def array_cells(array_coordinates: np.ndarray) -> np.ndarray:
    """Column and row of every spot of a slide in its own grid, (n_spots, 2), int64, from 0."""
    places = np.rint(array_coordinates[:, ::-1]).astype(np.int64)
    return places - places.min(axis=0)


def first_grid(coordinates: np.ndarray) -> np.ndarray:
    """Count the columns and rows of a slide as TRIPLEX of 2025 does, (2,), int64."""
    steps = np.round(coordinates / _STEP_PX)
    return np.array([len(np.unique(axis)) for axis in steps.T])


def pixel_cells(coordinates: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Spread the spots of a slide over a grid as that code does, (n_spots, 2), int64."""
    low, high = coordinates.min(axis=0), coordinates.max(axis=0)
    return np.round((coordinates - low) / (high - low + 1e-5) * (grid - 1)).astype(np.int64)


def grid_cells(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the occupied cells of a grid and what lies around each.

    Parameters
    ----------
    places : ndarray of int64, of shape (n_spots, 2)
        Column and row in the grid.

    Returns
    -------
    tuple of ndarray of int64, of shapes (n_spots,) and (n_cells, 9)
        ``SlideContext.cell`` and ``SlideContext.around``.
    """
    cells, cell = np.unique(places, axis=0, return_inverse=True)
    number = {(int(x), int(y)): i for i, (x, y) in enumerate(cells)}
    steps = [(dx, dy) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    around = [[number.get((int(x + dx), int(y + dy)), len(cells)) for dx, dy in steps]
              for x, y in cells]  # fmt: skip
    return cell.reshape(-1), np.array(around, dtype=np.int64).reshape(-1, 9)
