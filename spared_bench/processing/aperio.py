"""Tiles of Aperio in JPEG 2000 that hold luminance and chrominance: compression 33003.

Their photometric interpretation says RGB all the same. Where chrominance is stored at half the
width, OpenJPEG takes it for what it is; otherwise it hands out the components as they are
(openslide.org/formats/aperio).
"""

from __future__ import annotations

import numpy as np

YCBCR_JPEG2000 = 33003
_COMPONENTS = slice(46, 48)  # horizontal and vertical step of the second one, in the marker SIZ
_CODING, _TRANSFORM = b"\xff\x52", 8  # where the marker COD says whether colours were transformed


def as_rgb(pixels: np.ndarray, data: bytes) -> np.ndarray:
    """Return red, green and blue of a decoded tile of this compression.

    Parameters
    ----------
    pixels : ndarray of uint8, of shape (height, width, 3)
    data : bytes
        What it was decoded from.
    """
    from PIL import Image

    coding = data.find(_CODING)
    transform = data[coding + _TRANSFORM : coding + _TRANSFORM + 1]
    is_converted = data[_COMPONENTS] != b"\1\1" or transform != b"\0"
    if is_converted or pixels.shape[2:] != (3,) or pixels.dtype != np.uint8:
        return pixels
    return np.asarray(Image.fromarray(pixels, "YCbCr").convert("RGB"))
