"""Optical density: what stains absorb, to which each adds its own share."""

from __future__ import annotations

import numpy as np

from spared_bench.errors import ImageError

#: What light passes where there is no tissue, of 255; as in torchstain.
LIGHT = 240.0
#: Below this density in any channel, a pixel counts as not stained.
STAINED = 0.15
#: Of the amounts of each stain, the percentile that is made the same on all slides.
HIGHEST = 99.0
_FEWEST = 100


def density(pixels: np.ndarray) -> np.ndarray:
    """Return the optical density of colours, (n, 3), float64: ``-ln((colour + 1) / 240)``."""
    return -np.log((np.asarray(pixels, dtype=np.float64) + 1) / LIGHT)


def light(densities: np.ndarray) -> np.ndarray:
    """Return the colours of optical densities, (n, 3), uint8, cut to bytes and truncated."""
    return np.clip(LIGHT * np.exp(-densities), 0, 255).astype(np.uint8)


def stained(densities: np.ndarray) -> np.ndarray:
    """Return those of some densities that are of stained tissue.

    Raises
    ------
    ImageError
        If there are fewer than a hundred.
    """
    found = densities[(densities >= STAINED).all(axis=1)]
    if len(found) < _FEWEST:
        raise ImageError(
            f"{len(found)} of {len(densities)} pixels of the slide are stained, too few to tell its"
            " stains from. Expected an H&E image with tissue: look at it (`spared-bench data"
            " page`), or use a protocol without `patches.stain`."
        )
    return found
