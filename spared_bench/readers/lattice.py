"""The size of a pixel, from the known distance between the spots of an array."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from spared_bench.errors import CoordinateError

_ASTRAY = 0.25  # of a step: arrays are stretched when they are printed and registered, not torn


def nearest_px(centres: np.ndarray) -> float:
    """Return the median distance of a spot to its nearest neighbour; 0 for a single spot."""
    from scipy.spatial import cKDTree

    if len(centres) < 2:
        return 0.0
    return float(np.median(cKDTree(centres).query(centres, 2)[0][:, 1]))


def lattice_steps(array: np.ndarray, pixels: np.ndarray) -> tuple[float, float]:
    """Return how many pixels one step of the array is long, along its columns and its rows.

    Fits ``pixels = array @ A + b`` by least squares, so a rotated or mirrored array does no harm.

    Parameters
    ----------
    array : ndarray of shape (n_spots, 2)
        Column and row in the array.
    pixels : ndarray of shape (n_spots, 2)
        x and y.

    Returns
    -------
    tuple of float
        Pixels per column, pixels per row.

    Raises
    ------
    CoordinateError
        If the spots lie on one line of the array, or all at one pixel.
    """
    array = np.asarray(array, dtype=np.float64)
    pixels = np.asarray(pixels, dtype=np.float64)
    design = np.column_stack([array, np.ones(len(array))])
    solution, _, rank, _ = np.linalg.lstsq(design, pixels, rcond=None)
    columns, rows = np.linalg.norm(solution[:2], axis=1)
    if rank < 3 or not columns > 0 or not rows > 0:
        raise CoordinateError(
            f"The pixel size cannot be deduced from {len(array)} spots: they do not span both"
            " axes of the array. Check the columns of the position table."
        )
    return float(columns), float(rows)


def lattice_kind(
    array: np.ndarray,
    pixels: np.ndarray,
    steps: tuple[float, float],
    around: np.ndarray | None = None,
) -> Literal["hexagonal", "square", "other"]:
    """Say which lattice array positions and pixels are of, whichever way it is turned.

    Parameters
    ----------
    array, pixels : ndarray of shape (n_spots, 2)
        As ``lattice_steps`` takes them.
    steps : tuple of float
        What it returned.
    around : ndarray of shape (n_positions, 2), optional
        Pixels of all positions of the array, where those of the spots may be far apart.

    Returns
    -------
    str
        ``"hexagonal"``: Visium's, whose array_col counts half distances, so that row and column
        add up to even numbers everywhere, or to odd ones. ``"square"``: rows and columns equally
        far apart, and from a spot to the next, and every spot in its place. Else ``"other"``.
    """
    columns, rows = steps
    odd = float((np.asarray(array, dtype=np.int64).sum(axis=1) % 2).mean())
    is_staggered = not 0.05 < odd < 0.95
    if is_staggered and 0.8 < rows / (columns * 3**0.5) < 1.25:
        return "hexagonal"
    nearest = nearest_px(np.asarray(pixels if around is None else around, np.float64))
    # A square array of which every other place is empty, and no Visium of which an axis was scaled.
    is_checkered = is_staggered and 0.93 < rows / columns < 1.07
    step = (rows * columns) ** 0.5 * (2**0.5 if is_checkered else 1.0)
    if not 0.8 < nearest / step < 1.25:
        return "other"
    design = np.column_stack([np.asarray(array, np.float64), np.ones(len(array))])
    solution = np.linalg.lstsq(design, np.asarray(pixels, np.float64), rcond=None)[0]
    astray = np.linalg.norm(design @ solution - pixels, axis=1)
    # Rows of a hexagonal lattice that are counted singly are as far apart, but shifted.
    in_place = float(np.sqrt((astray**2).mean())) < 0.15 * columns
    return "square" if 0.8 < rows / columns < 1.25 and in_place else "other"


def check_in_place(array: np.ndarray, pixels: np.ndarray, where: Path) -> None:
    """Refuse pixels that do not lie where the array positions of the same spots are.

    They do not where rows of the table were mixed up, or coordinates coarsely rounded.

    Parameters
    ----------
    array, pixels : ndarray of shape (n_spots, 2)
        As ``lattice_steps`` takes them; array positions of Visium or of a square lattice.
    where : Path
        For the message.

    Raises
    ------
    CoordinateError
    """
    design = np.column_stack([np.asarray(array, np.float64), np.ones(len(array))])
    solution = np.linalg.lstsq(design, np.asarray(pixels, np.float64), rcond=None)[0]
    astray = np.linalg.norm(design @ solution - pixels, axis=1)
    step = float(np.linalg.norm(solution[:2], axis=1).max())
    off = float(np.sqrt((astray**2).mean()))
    if off > _ASTRAY * step:
        raise CoordinateError(
            f"The pixels of the spots of {where} are not where their array positions are: they are"
            f" {off:.3g} px off on average, and neighbouring rows are {step:.3g} px apart. Rows of"
            " the table were mixed up, or the coordinates were rounded; take both from one file."
        )
