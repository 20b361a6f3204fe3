"""Images that say of themselves that they are shown turned or mirrored (tag Orientation, EXIF).

Pixels are read as they are stored, as tifffile, Pillow, libvips and Bio-Formats give them. Viewers
of pictures and OpenCV turn them first, so spots that were placed in such a program lie elsewhere.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

#: What a viewer does with the stored pixels, by the value of the tag; 1 is upright.
SHOWN = {
    2: "mirrored left to right",
    3: "turned by half",
    4: "mirrored top to bottom",
    5: "with x and y exchanged",
    6: "turned to the right by 90 degrees",
    7: "with x and y exchanged, and turned by half",
    8: "turned to the left by 90 degrees",
}
_ORIENTATION = 274


def orientation_of(path: Path) -> int:
    """Return in which orientation an image says that it is shown: 1 to 8; 1 where it says none."""
    from spared_bench.processing.tiff_image import is_tiff

    try:
        found = _of_tiff(path) if is_tiff(path) else _of_others(path)
    except Exception:  # of a file that may hold anything; whether it can be read is told elsewhere
        return 1
    return found if found in SHOWN else 1


def told_of(path: Path) -> list[str]:
    """Return a sentence on an image that says that it is shown turned; none of any other."""
    found = orientation_of(path)
    if found == 1:
        return []
    return [
        f"The image says that it is shown {SHOWN[found]} (orientation {found}); it is read as its"
        " pixels are stored, to which positions of spots must refer."
    ]


def _of_tiff(path: Path) -> object:
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        told = tiff.series[0].keyframe.tags.get(_ORIENTATION)
        return 1 if told is None else int(told.value)


def _of_others(path: Path) -> object:
    """Return the tag by libvips, which has no limit of size, or by Pillow, as images are read."""
    try:
        import pyvips

        image = pyvips.Image.new_from_file(str(path), access="sequential", revalidate=True)
        return image.get("orientation") if image.get_typeof("orientation") else 1
    except Exception:  # libvips is not there, or does not know the format
        import PIL.Image

        with PIL.Image.open(path) as picture:
            return picture.getexif().get(_ORIENTATION, 1)


def as_stored(centres: np.ndarray, width: int, height: int, orientation: int) -> np.ndarray:
    """Return where spots lie on the stored pixels, if they were placed on the image as shown.

    Parameters
    ----------
    centres : ndarray of shape (n_spots, 2)
        x and y on the image as it is shown.
    width, height : int
        Of the image as it is stored.
    orientation : int
        Value of the tag.

    Returns
    -------
    ndarray of shape (n_spots, 2)
    """
    x, y = centres.T
    places = {
        2: (width - x, y),
        3: (width - x, height - y),
        4: (x, height - y),
        5: (y, x),
        6: (y, height - x),
        7: (width - y, height - x),
        8: (width - y, x),
    }
    return np.column_stack(places.get(orientation, (x, y)))
