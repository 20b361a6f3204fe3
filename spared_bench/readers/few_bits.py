"""Images of 8 bits of which the lowest four are used alone, as of a camera or a tool of 4 bits.

Every patch of such an image is black, and nothing of it says so.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spared_bench.errors import ImageError

#: The largest value of 4 bits.
LARGEST = 15
_EIGHT_BITS, _COLOURS = 255, 3
_MAX_SAMPLE_VALUE = 281


def refuse_few_bits(path: Path, points: np.ndarray) -> None:
    """Refuse an image whose values are all 15 or less, and which does not say that it is dark.

    The whole image is looked at only where it is dark at all of the points.

    Parameters
    ----------
    path : Path
    points : ndarray of float, of shape (n_points, 2)
        x and y in pixels of the image; those outside are moved to its border.

    Raises
    ------
    ImageError
    """
    from spared_bench.processing.images import open_image

    image = open_image(path)
    colours = image.colours
    other = colours.reduced or colours.stains or colours.palette is not None
    if colours.top != _EIGHT_BITS or other:
        return

    def is_dark(bands: np.ndarray) -> bool:
        light = bands[..., :_COLOURS] if colours.opacity is None else bands[..., : colours.opacity]
        return bool(light.max() <= LARGEST)

    pixels = np.clip(points, 0, (image.width - 1, image.height - 1)).astype(int)
    for x, y in pixels.tolist():
        if not all(is_dark(part) for *_, part in image.parts(x, y, 1, 1)):
            return
    if not _says_so(path) and all(map(is_dark, image.every_block())):
        raise ImageError(
            f"The image {path} has 8 bits and no value above {LARGEST}, so it may be of four."
            " Multiply its values by 17. If it really is that dark, save it as TIFF with the tag"
            f" MaxSampleValue ({_MAX_SAMPLE_VALUE}) of {_EIGHT_BITS}."
        )


def _says_so(path: Path) -> bool:
    """Return whether a TIFF says that its values could be larger."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            told = tiff.pages.first.tags.get(_MAX_SAMPLE_VALUE)
            return told is not None and int(np.max(told.value)) > LARGEST
    except (OSError, tifffile.TiffFileError):
        return False
