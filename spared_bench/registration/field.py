"""A local field on top of a matrix: where each place of a section lies beside what the matrix says.

The optical flow of scikit-image (``optical_flow_ilk``, Le Besnerais and Champagnat 2005) between
pictures smoothed to half a pitch, over windows of several pitches, so that it follows a bend or a
stretch of the tissue and not the cells. Where sections differ (two animals, a fold) a flow can
carry places over each other: each is smoothed until it changes no length by more than half, and
taken only if the pictures are more alike with it than by the matrix alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spared_bench.registration.pictures import Picture
from spared_bench.registration.search import likeness, moved

_RADII = (14, 28)  # of the windows, in grid pixels: a sixteenth and an eighth of the tissue
_SMOOTHER = np.sqrt(2)  # from half a radius on, until the field is gentle enough
_ROUNDS = 20  # of the inverse: each halves the error at least
_MOST = 0.05  # of the side of the grid: a longer displacement is cut to it
_STEEPEST = 0.5  # by how much of itself a length may change: places never change their order


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


def field_between(fixed: Picture, other: Picture, matrix: np.ndarray) -> Field | None:
    """Return the field by which a moved picture comes nearest to a fixed one.

    None where no field brings it nearer than ``matrix``, which leads from the grid of ``other`` to
    that of ``fixed``.
    """
    grey, tissue = moved(other, matrix)
    best, field = likeness(fixed, grey, tissue), None
    for radius in _RADII:
        found = _gentle(_flow(fixed, grey, tissue, radius), radius, fixed)
        score = likeness(fixed, _warped(grey, found), _warped(tissue, found))
        if score > best:
            best, field = score, found
    return field


def _flow(fixed: Picture, grey: np.ndarray, tissue: np.ndarray, radius: int) -> np.ndarray:
    """Return x and y of the displacement of each pixel, (side, side, 2)."""
    from skimage.registration import optical_flow_ilk

    here, there = (_contrast(g, t) for g, t in ((grey, tissue), (fixed.grey, fixed.tissue)))
    # The flow of a reference says where in the moving picture its pixels are found.
    rows, columns = optical_flow_ilk(here, there, radius=radius, num_warp=8)
    return np.stack([columns, rows], axis=-1)


def _gentle(flow: np.ndarray, radius: int, fixed: Picture) -> Field:
    """Return the field of a flow, smoothed no more than it needs to change lengths by half."""
    from scipy.ndimage import gaussian_filter

    sigma = radius / 2
    while True:
        smooth = np.stack([gaussian_filter(flow[..., axis], sigma) for axis in (0, 1)], axis=-1)
        length = np.linalg.norm(smooth, axis=-1, keepdims=True)
        smooth *= np.minimum(1, _MOST * fixed.side / np.maximum(length, 1e-9))
        slopes = np.stack(np.gradient(smooth, axis=(0, 1)), axis=-1)
        if np.linalg.norm(slopes, 2, axis=(-2, -1)).max() <= _STEEPEST:
            break
        sigma *= _SMOOTHER
    displacement = (smooth @ fixed.to_full[:2, :2].T).astype(np.float32)
    return Field(displacement, np.linalg.inv(fixed.to_full))


def _warped(values: np.ndarray, field: Field) -> np.ndarray:
    """Return values of the grid where a field moves them."""
    from scipy.ndimage import map_coordinates

    to_full = np.linalg.inv(field.to_grid)
    places = np.indices(values.shape)[::-1].reshape(2, -1).T
    from_ = field.unmoved(places @ to_full[:2, :2].T + to_full[:2, 2])
    x, y = (from_ @ field.to_grid[:2, :2].T + field.to_grid[:2, 2]).T
    return np.asarray(map_coordinates(values, [y, x], order=1).reshape(values.shape))


def _contrast(grey: np.ndarray, tissue: np.ndarray) -> np.ndarray:
    """Return grey levels of unit deviation within the tissue, on top of the tissue."""
    spread = grey[tissue > 0.5].std() if (tissue > 0.5).any() else 1.0
    return np.asarray(tissue + 0.3 * grey / max(float(spread), 1e-9))
