"""Spots whose place was not known, and was filled with one: several lie at one point, or at 0.

What is shown for them is cut from another place of the image.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spared_bench.errors import CoordinateError
from spared_bench.readers.lattice import nearest_px
from spared_bench.words import counted

_FEWEST = 3  # spots at one point; two may be there by rounding
_ALONE = 2.0  # distances from a spot to the next, which a spot at (0, 0) may be from the others


def require_places(coordinates: np.ndarray, spots: Sequence[str]) -> None:
    """Refuse a slide of which spots lie at one point, or one at (0, 0) far from all others.

    Parameters
    ----------
    coordinates : ndarray of shape (n_spots, 2)
        x and y.
    spots : sequence of str
        Their names.

    Raises
    ------
    CoordinateError
    """
    centres = np.asarray(coordinates, dtype=np.float64)
    points, of_spot, n_spots = np.unique(centres, axis=0, return_inverse=True, return_counts=True)
    if len(points) < 2:
        return
    at_zero = ~points.any(axis=1)
    pitch = nearest_px(centres)
    away = np.linalg.norm(points[~at_zero], axis=1).min() > _ALONE * pitch > 0
    filled = (n_spots >= _FEWEST) | (at_zero & ((n_spots > 1) | away))
    if not filled.any():
        return
    worst = int(np.argmax(np.where(filled, n_spots, 0)))
    first = spots[np.flatnonzero(of_spot.ravel() == worst)[0]]
    x, y = points[worst]
    lie = "lies" if n_spots[worst] == 1 else "lie"
    raise CoordinateError(
        f"{counted(int(n_spots[worst]), 'spot')} of {len(centres)} {lie} exactly at x={x:.6g},"
        f" y={y:.6g} ({first!r}, for example), as where places that are not known were filled."
        " Leave these spots out, or correct their coordinates."
    )
