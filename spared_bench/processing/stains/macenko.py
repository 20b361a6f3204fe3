"""Macenko et al. (ISBI 2009): stains from the plane of densities, amounts by least squares.

Steps and constants are those of torchstain's numpy form, which is held against it in the tests.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from spared_bench.processing.stains.density import HIGHEST, density, light, stained

_ANGLE = 1.0  # percentile of the angles at which a stain lies


def measure(pixels: np.ndarray) -> dict[str, np.ndarray]:
    """Return the stain vectors, (2, 3), haematoxylin first, and the highest amounts, (2,)."""
    every = density(pixels)
    found = stained(every)
    _, vectors = np.linalg.eigh(np.cov(found.T))
    plane = vectors[:, 1:3]
    angles = np.arctan2(*(found @ plane).T[::-1])
    low, high = np.percentile(angles, [_ANGLE, 100 - _ANGLE])
    first, second = (plane @ np.array([np.cos(each), np.sin(each)]) for each in (low, high))
    stains = np.stack([first, second] if first[0] > second[0] else [second, first])
    return {"stains": stains, "highest": np.percentile(_amounts(every, stains), HIGHEST, axis=0)}


def change(
    colours: np.ndarray, source: Mapping[str, np.ndarray], target: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Return colours with the stains and the highest amounts of the target."""
    amounts = _amounts(density(colours), source["stains"])
    return light(amounts * (target["highest"] / source["highest"]) @ target["stains"])


def _amounts(densities: np.ndarray, stains: np.ndarray) -> np.ndarray:
    """Return how much of each stain makes these densities, (n, 2); may be negative."""
    return np.asarray(densities @ np.linalg.pinv(stains))
