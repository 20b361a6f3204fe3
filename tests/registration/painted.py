"""Painted sections: tissue of an outline and a texture, laid anywhere and turned by any angle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from anndata import AnnData
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates

SIZE = 500  # pixels of an image
UM_PER_PX = 15.0
PITCH_PX = 200 / UM_PER_PX


def texture(seed: int) -> np.ndarray:
    """Grey levels of a tissue, in [0, 1], (400, 400)."""
    rng = np.random.default_rng(seed)
    coarse = gaussian_filter(rng.normal(size=(400, 400)), 22)
    return (coarse - coarse.min()) / np.ptp(coarse)


def outline(seed: int) -> np.ndarray:
    """An outline that no turn leaves as it is, (400, 400), bool."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:400, :400] - 200.0
    angle, radius = np.arctan2(y, x), np.hypot(x, y)
    waves = sum(
        rng.uniform(0.05, 0.2) * np.cos(k * angle + rng.uniform(0, 6)) / k for k in (1, 2, 3)
    )
    return radius < 120 * (1 + waves)


def bent(places: np.ndarray, bend: float) -> np.ndarray:
    """Return places of a tissue, (..., 2), with y moved along a wave of x; -``bend`` undoes it."""
    wave = bend * np.sin(places[..., 0] / 45)
    return np.stack([places[..., 0], places[..., 1] + wave], axis=-1)


def section(
    path: Path,
    matrix: np.ndarray,
    seed: int = 0,
    glass: tuple[int, int, int] = (243, 242, 240),
    noise: float = 0.1,
    keep: float = 1.0,
    um_per_px: float = UM_PER_PX,
    bend: float = 0.0,
) -> AnnData:
    """Paint a section and return it as a raw slide.

    Parameters
    ----------
    path : Path
        Of the image.
    matrix : ndarray of shape (3, 3)
        From x and y of the tissue (400 x 400, its middle at 200) to pixels of the image.
    seed : int
        Of the tissue.
    glass : tuple of int
        Colour of the background.
    noise : float
        Of the texture, another one in each section.
    keep : float
        Which part of the tissue is left, from its left.
    um_per_px : float
        What the slide says.
    bend : float
        By how many pixels the tissue is bent: see ``bent``.
    """
    back = np.linalg.inv(matrix)
    y, x = np.mgrid[:SIZE, :SIZE]
    there = bent(np.stack([x, y], axis=-1) @ back[:2, :2].T + back[:2, 2], -bend)
    at = [there[..., 1], there[..., 0]]
    inside = map_coordinates(outline(seed).astype(float), at, order=1) > 0.5
    inside &= there[..., 0] < np.quantile(np.nonzero(outline(seed))[1], keep)
    level = map_coordinates(texture(seed), at, order=1)
    rng = np.random.default_rng(len(path.name) + 31 * seed)
    level = np.clip(level + noise * gaussian_filter(rng.normal(size=level.shape), 3) * 8, 0, 1)
    eosin, haematoxylin = np.array([214, 150, 190.0]), np.array([110, 70, 150.0])
    pixels = np.full((SIZE, SIZE, 3), glass, float)
    pixels[inside] = (eosin + level[..., None] * (haematoxylin - eosin))[inside]
    pixels += rng.normal(0, 3, pixels.shape)
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
    grid = np.arange(60, SIZE - 60, PITCH_PX)
    spots = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    slide = AnnData(np.zeros((len(spots), 1), np.float32), obsm={"spatial": spots})
    slide.uns["slide"] = {
        "image_path": str(path),
        "image_scale": 1.0,
        "spot_diameter_px": PITCH_PX / 2,
        "um_per_px": um_per_px,
    }
    return slide


def placed(degrees: float, dx: float = 0.0, dy: float = 0.0, scale: float = 1.0) -> np.ndarray:
    """Return the matrix of a tissue that is turned about its middle and laid on an image."""
    angle = np.deg2rad(degrees)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.eye(3)
    matrix[:2, :2] = turn
    matrix[:2, 2] = SIZE / 2 + np.array([dx, dy]) - turn @ [200, 200]
    return matrix
