"""A local field on top of a matrix: where each place of a section lies beside what the matrix says.

The optical flow of scikit-image (``optical_flow_ilk``, Le Besnerais and Champagnat 2005) between
pictures smoothed to half a pitch, over windows of several pitches, so that it follows a bend or a
stretch of the tissue and not the cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spared_bench.registration.pictures import Picture
from spared_bench.registration.search import moved

_RADIUS = 14  # of the windows, in grid pixels: about a sixteenth of the tissue
_ROUNDS = 20  # of the inverse: the field changes slowly, so each is much nearer than the last
_MOST = 0.05  # of the side of the grid: a longer displacement is cut to it


@dataclass(frozen=True, eq=False)
class Field:
    """Displacements on the grid of the fixed section.

    Parameters
    ----------
    displacement : ndarray of float32, of shape (side, side, 2)
        x and y in full-resolution pixels of the fixed section.
    to_grid : ndarray of shape (3, 3)
        From full-resolution pixels of the fixed section to the grid.
    """

    displacement: np.ndarray
    to_grid: np.ndarray

    def moved(self, points: np.ndarray) -> np.ndarray:
        """Return points (n, 2), in full-resolution pixels of the fixed section, displaced."""
        return np.asarray(points + self._at(points))

    def unmoved(self, points: np.ndarray) -> np.ndarray:
        """Return the points that ``moved`` takes to these: a fixed point, in a few rounds."""
        found = np.asarray(points, np.float64)
        for _ in range(_ROUNDS):
            found = points - self._at(found)
        return found

    def _at(self, points: np.ndarray) -> np.ndarray:
        from scipy.ndimage import map_coordinates

        x, y = (points @ self.to_grid[:2, :2].T + self.to_grid[:2, 2]).T
        steps = [
            map_coordinates(self.displacement[..., axis], [y, x], order=1, mode="nearest")
            for axis in (0, 1)
        ]
        return np.stack(steps, axis=1)


def field_between(fixed: Picture, other: Picture, matrix: np.ndarray) -> Field:
    """Return the field by which a moved picture comes nearer to a fixed one.

    ``matrix`` leads from the grid of ``other`` to that of ``fixed``.
    """
    from scipy.ndimage import gaussian_filter
    from skimage.registration import optical_flow_ilk

    grey, tissue = moved(other, matrix)
    here, there = (_contrast(g, t) for g, t in ((grey, tissue), (fixed.grey, fixed.tissue)))
    # The flow of a reference says where in the moving picture its pixels are found.
    rows, columns = optical_flow_ilk(here, there, radius=_RADIUS, num_warp=8)
    flow = np.stack([columns, rows], axis=-1)
    flow = np.stack([gaussian_filter(flow[..., axis], _RADIUS / 2) for axis in (0, 1)], axis=-1)
    length = np.linalg.norm(flow, axis=-1, keepdims=True)
    flow *= np.minimum(1, _MOST * fixed.side / np.maximum(length, 1e-9))
    return Field((flow @ fixed.to_full[:2, :2].T).astype(np.float32), np.linalg.inv(fixed.to_full))


def _contrast(grey: np.ndarray, tissue: np.ndarray) -> np.ndarray:
    """Return grey levels of unit deviation within the tissue, on top of the tissue."""
    spread = grey[tissue > 0.5].std() if (tissue > 0.5).any() else 1.0
    return np.asarray(tissue + 0.3 * grey / max(float(spread), 1e-9))
