"""Windows of histology images, read without decoding the whole image into Python's memory.

TIFF is read through tifffile and imagecodecs, JPEG 2000 of other than 8 bits through imagecodecs,
every other format through libvips; where libvips does not know the format, or does not load,
Pillow decodes the image once. What is not decoded is an error, never black or white.

Every window comes as uint8 RGB (see ``colours``). Orientation tags are ignored: spot coordinates
refer to the pixels as stored.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spared_bench.errors import ImageError
from spared_bench.processing.blocks import BlockImage


def open_image(path: str | Path, fluorescence: bool = False) -> BlockImage:
    """Open an image for reading windows.

    Parameters
    ----------
    path : str or Path
        TIFF (SVS, OME-TIFF, ...), JPEG, PNG, or what else libvips or Pillow reads.
    fluorescence : bool
        Whether its channels, or its pages, are stains: the first three become red, green and blue,
        and none of them is a transparency.

    Returns
    -------
    BlockImage
        With ``width``, ``height`` and ``window(left, top, width, height)``.

    Raises
    ------
    ImageError
        If the file is missing, no image, of a kind that nothing here reads, or does not say what
        its channels are. Damage further in shows when a window is read.
    """
    if not str(path) or not Path(path).is_file():
        raise ImageError(
            f"There is no image at {str(path)!r}. Check the path, or fetch the dataset again."
        )
    from spared_bench.processing.jpeg2000_image import open_other_jpeg2000
    from spared_bench.processing.pillow_image import PillowImage
    from spared_bench.processing.tiff_image import is_tiff, open_tiff
    from spared_bench.processing.vips_image import UnknownFormatError, open_vips
    from spared_bench.processing.wholeness import check_whole

    if is_tiff(Path(path)):
        return open_tiff(Path(path), fluorescence)
    if not fluorescence:  # whose background may be black
        check_whole(Path(path))
    if found := open_other_jpeg2000(Path(path), fluorescence):
        return found
    try:
        import pyvips  # noqa: F401

        return open_vips(Path(path), fluorescence)
    except (ImportError, OSError, UnknownFormatError):  # OSError: libvips itself is missing
        return PillowImage(Path(path), fluorescence)


def image_size(path: str | Path) -> tuple[int, int]:
    """Return width and height in pixels, from the header alone where the format has one."""
    # The size of any number of channels is known, whether or not they are described as colours.
    image = open_image(path, fluorescence=True)
    return image.width, image.height


def decode_at(path: str | Path, points: np.ndarray) -> None:
    """Decode an image at some points, to find out whether it can be.

    Parameters
    ----------
    path : str or Path
    points : ndarray of float, of shape (n_points, 2)
        x and y in pixels of the image; those outside are moved to its border.

    Raises
    ------
    ImageError
        If a block of the image that one of them lies in cannot be decoded.
    """
    image = open_image(path)
    pixels = np.clip(points, 0, (image.width - 1, image.height - 1)).astype(int)
    for row in image.file_order(pixels, 1):
        image.window(int(pixels[row, 0]), int(pixels[row, 1]), 1, 1)


def _block_means(pixels: np.ndarray, step: int) -> np.ndarray:
    """Return the mean of each square of pixels, cut to whole numbers.

    In whole numbers, first over rows, which lie side by side: a ninth of the time of ``mean``.
    """
    rows, columns = pixels.shape[0] // step, pixels.shape[1] // step
    lines = pixels.reshape(rows, step, columns * step * 3).sum(axis=1, dtype=np.uint32)
    totals = lines.reshape(rows, columns, step, 3).sum(axis=2, dtype=np.uint32)
    return (totals // step**2).astype(np.uint8)


def read_reduced(
    path: str | Path, longest: int, fluorescence: bool = False
) -> tuple[np.ndarray, float]:
    """Read a whole image with at most ``longest`` pixels on its longer side.

    Returns
    -------
    pixels : ndarray of uint8, of shape (height, width, 3)
    factor : float
        Pixels of the returned image per pixel of the file; at most 1.
    """
    image = open_image(path, fluorescence)
    step = max(1, -(-max(image.width, image.height) // longest))
    strips = []
    for top in range(0, image.height - step + 1, step * 64):
        rows = min(step * 64, (image.height - top) // step * step)
        strip = image.window(0, top, image.width // step * step, rows)
        strips.append(_block_means(strip, step))
    return np.concatenate(strips), 1 / step
