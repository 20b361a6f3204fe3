"""The image behind the ``planted`` dataset: stains and nuclei painted from smooth random fields.

Four fields are visible: ``haematoxylin``, ``eosin`` and ``pigment`` say how much there is of each
stain, ``grain`` how strongly haematoxylin gathers in nuclei. Stains absorb as in Beer and Lambert's
law: transmitted light falls exponentially with their amount.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spared_bench.files import replacing

FIELDS = ("haematoxylin", "eosin", "pigment", "grain")
VERSION = 1  # of what is painted; part of the name of the image
SPOT_PX = 36.0
UM_PER_PX = 55 / SPOT_PX
PITCH_PX = 100 / UM_PER_PX

_SIDE_PX = 1408
_TISSUE_RADIUS_PX = 630.0
_GRID_PX = 8  # fields are kept at this resolution
_SMOOTH_PX = 60.0  # standard deviation of the kernel behind a field: about one pitch
_NUCLEUS_PX = 2.5
# Optical density in red, green and blue: per stain, at its usual amount.
_STAINS = np.array([[0.33, 0.36, 0.15], [0.03, 0.38, 0.05], [0.06, 0.12, 0.25]])
_SWING = 0.35  # standard deviation of a stain's log-amount


@dataclass(frozen=True)
class Tissue:
    """One slide before it is painted.

    Parameters
    ----------
    array : ndarray of int, of shape (n_spots, 2)
        Column and row in the hexagonal array; columns of odd rows are odd.
    centres : ndarray of shape (n_spots, 2)
        x and y in pixels.
    fields : ndarray of shape (4, grid, grid)
        In the order of ``FIELDS``; standard normal at each point.
    radius : ndarray of shape (720,)
        Of the tissue, in pixels, by half degrees.
    stains : ndarray of shape (3, 3)
        Of this donor.
    seed : int
        Of the nuclei.
    """

    array: np.ndarray
    centres: np.ndarray
    fields: np.ndarray
    radius: np.ndarray
    stains: np.ndarray
    seed: int

    def field_means(self) -> np.ndarray:
        """Average every field over every spot: (n_spots, 4)."""
        from scipy.ndimage import map_coordinates

        steps = np.linspace(-SPOT_PX / 2, SPOT_PX / 2, 13)
        disc = np.array([(x, y) for x in steps for y in steps if np.hypot(x, y) <= SPOT_PX / 2])
        points = (self.centres[:, None] + disc + 0.5) / _GRID_PX - 0.5
        where = [points[..., 1], points[..., 0]]
        return np.column_stack(
            [map_coordinates(field, where, order=3).mean(axis=1) for field in self.fields]
        )

    def smooth_maps(self, rng: np.random.Generator, number: int) -> np.ndarray:
        """Draw maps over the spots, as smooth as the fields: (n_spots, number)."""
        distance = np.linalg.norm(self.centres[:, None] - self.centres, axis=2)
        covariance = np.exp(-((distance / (2 * _SMOOTH_PX)) ** 2))
        root = np.linalg.cholesky(covariance + 1e-6 * np.eye(len(distance)))
        return root @ rng.normal(size=(len(distance), number))


def draw_tissue(rng: np.random.Generator) -> Tissue:
    """Draw the outline, the lattice, the fields and the stains of one slide."""
    from scipy.ndimage import gaussian_filter

    grid = _SIDE_PX // _GRID_PX
    noise = rng.normal(size=(len(FIELDS), grid, grid))
    sigma = _SMOOTH_PX / _GRID_PX
    fields = np.stack([gaussian_filter(field, sigma, mode="wrap") for field in noise])
    fields /= fields.std(axis=(1, 2), keepdims=True)

    angle = np.arange(720) * np.pi / 360
    waves = [rng.normal(scale=0.03) * np.cos(k * angle + rng.uniform(0, 6)) for k in (2, 3, 5)]
    radius = _TISSUE_RADIUS_PX * (1 + np.sum(waves, axis=0))
    array, centres = _lattice(radius)
    stains = _STAINS * rng.uniform(0.93, 1.07, size=(3, 1))
    return Tissue(array, centres, fields, radius, stains, int(rng.integers(2**32)))


def ensure_image(tissue: Tissue, folder: Path, slide_id: str) -> Path:
    """Return the path of the slide's PNG, painting it if it is not there."""
    from PIL import Image

    path = folder / f"{slide_id}_v{VERSION}.png"
    if not path.is_file():
        # Renamed only when complete: several workers may paint the same slide at once.
        with replacing(path) as beside:
            Image.fromarray(paint(tissue)).save(beside, format="PNG", compress_level=3)
    return path


def paint(tissue: Tissue) -> np.ndarray:
    """Paint the slide: (side, side, 3), uint8."""
    from scipy.ndimage import gaussian_filter, zoom

    rng = np.random.default_rng(tissue.seed)
    haematoxylin, eosin, pigment, grain = (
        zoom(field, _GRID_PX, order=3, mode="nearest", grid_mode=True) for field in tissue.fields
    )
    nuclei = gaussian_filter(rng.normal(size=haematoxylin.shape), _NUCLEUS_PX)
    nuclei /= nuclei.std()
    contrast = np.clip(0.35 * np.exp(0.5 * grain), 0, 1.2)
    amounts = np.stack([haematoxylin, eosin, pigment], axis=-1) * _SWING
    amounts[..., 0] += contrast * nuclei - contrast**2 / 2  # the mean amount stays what it was
    covered = _covered(tissue.radius)
    density = np.einsum("yxs,sc->yxc", np.exp(amounts) * covered[..., None], tissue.stains)
    light = 245 * np.exp(-density) + rng.normal(scale=1.5, size=density.shape)
    return np.clip(np.rint(light), 0, 255).astype(np.uint8)


def _covered(radius: np.ndarray) -> np.ndarray:
    """Return how much of each pixel is tissue, 0 to 1, with an edge a few pixels wide."""
    distance, limit = _polar(*np.meshgrid(np.arange(_SIDE_PX), np.arange(_SIDE_PX)), radius)
    return np.clip((limit - distance) / 6, 0, 1)


def _lattice(radius: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return array positions and centres of the spots that lie wholly on the tissue."""
    step_x, step_y = PITCH_PX / 2, PITCH_PX * np.sqrt(3) / 2
    rows, columns = np.mgrid[: int(_SIDE_PX // step_y), : int(_SIDE_PX // step_x)]
    staggered = (rows + columns) % 2 == 0
    array = np.column_stack([columns[staggered], rows[staggered]])
    centres = array * (step_x, step_y)
    distance, limit = _polar(centres[:, 0], centres[:, 1], radius)
    inside = distance < limit - SPOT_PX
    return array[inside], centres[inside]


def _polar(x: np.ndarray, y: np.ndarray, radius: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distance from the middle of the image, and the tissue's radius that way."""
    x, y = x - _SIDE_PX / 2, y - _SIDE_PX / 2
    half_degree = (np.degrees(np.arctan2(y, x)) * 2).astype(int) % len(radius)
    return np.hypot(x, y), radius[half_degree]
