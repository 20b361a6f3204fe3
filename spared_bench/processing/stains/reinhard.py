"""Reinhard et al. (2001): mean and deviation of each channel of CIELAB made like the target's.

The colour space is scikit-image's. The paper's own is another decorrelated space; implementations
for histology, torchstain among them, take CIELAB.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from spared_bench.processing.stains.density import density, stained


def measure(pixels: np.ndarray) -> dict[str, np.ndarray]:
    """Return the mean and the deviation of L, a and b over all pixels, (3,) each.

    Raises
    ------
    ImageError
        If fewer than a hundred are stained: glass alone would be given the colours of tissue.
    """
    stained(density(pixels))
    lab = _lab(pixels)
    return {"mean": lab.mean(axis=0), "deviation": np.maximum(lab.std(axis=0), 1e-6)}


def change(
    colours: np.ndarray, source: Mapping[str, np.ndarray], target: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Return colours whose channels have the mean and the deviation of the target."""
    import warnings

    from skimage.color import lab2rgb

    lab = (_lab(colours) - source["mean"]) / source["deviation"]
    lab = lab * target["deviation"] + target["mean"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of colours that no screen shows, which are cut
        rgb = lab2rgb(lab[None])[0]
    return np.rint(255 * np.clip(rgb, 0, 1)).astype(np.uint8)


def _lab(colours: np.ndarray) -> np.ndarray:
    from skimage.color import rgb2lab

    return np.asarray(rgb2lab(np.asarray(colours, dtype=np.uint8)[None])[0])
