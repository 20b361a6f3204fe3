"""Images of 8 bits in which only five to seven are used, and of 16 in which only 15 are.

Some really are that dark, and most of those that hold fewer bits look as natural as any, so nothing
is refused; their patches are dark, and a network that learned on others sees no H&E image in them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

_COLOURS, _EIGHT_BITS = 3, 255
_MAX_SAMPLE_VALUE = 281


def highest_value(path: Path, seen: np.ndarray) -> tuple[int, int]:
    """Return the highest value of an image and the highest that it could have.

    Parameters
    ----------
    path : Path
    seen : ndarray of uint8
        The image, or a reduced copy. The file is read again only where this is dark.

    Returns
    -------
    tuple of int
        Twice the same where more than half of the range is used, or the file says what its range
        is.
    """
    from spared_bench.processing.images import open_image

    if seen.max() > _EIGHT_BITS // 2:  # to open some formats is to decode them
        return _EIGHT_BITS, _EIGHT_BITS
    image = open_image(path)
    colours = image.colours
    if colours.palette is not None or colours.inverted or colours.stated:
        return colours.top, colours.top
    if colours.top == _EIGHT_BITS and _says_so(path):
        return colours.top, colours.top
    n_bands = _COLOURS if colours.opacity is None else colours.opacity
    highest = max(int(block[..., :n_bands].max()) for block in image.every_block())
    return highest, colours.top


def _says_so(path: Path) -> bool:
    """Return whether a TIFF says that its values could be above half of the range."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            told = tiff.pages.first.tags.get(_MAX_SAMPLE_VALUE)
            return told is not None and int(np.max(told.value)) > _EIGHT_BITS // 2
    except (OSError, ValueError, tifffile.TiffFileError):
        return False
