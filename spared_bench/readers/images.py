"""Images that come inside another file, kept as files of their own."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from spared_bench.errors import ImageError


def keep_image(pixels: np.ndarray, folder: Path, name: str, source: Path) -> Path:
    """Write an image as tiled TIFF, unless that was done from the source as it is now.

    The image carries the source's time of change: an older file in the source's place is a change.

    Parameters
    ----------
    pixels : ndarray of shape (height, width), or (height, width, 1, 3 or 4)
        uint8 or uint16, or floating between 0 and 1.
    folder : Path
        Made if it is not there.
    name : str
        Of the file; what does not belong into a name is replaced.
    source : Path
        Where the image comes from.

    Raises
    ------
    ImageError
        If the array is no image.
    """
    path = folder / f"{re.sub(r'[^A-Za-z0-9.-]', '_', name)}.tif"
    changed = source.stat().st_mtime_ns
    if path.is_file() and path.stat().st_mtime_ns == changed:
        return path
    import tifffile

    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    grey = pixels.ndim == 2
    if not (grey or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))):
        raise ImageError(
            f"The image in {source} has shape {pixels.shape}; expected (height, width, 3)."
        )
    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    photometric = "minisblack" if grey else "rgb"
    try:
        tifffile.imwrite(partial, _as_integers(pixels), photometric=photometric, tile=(256, 256))
        os.utime(partial, ns=(changed, changed))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def _as_integers(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype in (np.uint8, np.uint16):
        return pixels
    if pixels.dtype.kind == "f" and pixels.size and pixels.max() <= 1:
        return np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    return np.clip(pixels, 0, 255).astype(np.uint8)
