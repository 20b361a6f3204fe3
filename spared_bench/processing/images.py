"""Windows of histology images, read without decoding the whole image into Python's memory.

pyvips reads at random from the file (tiled TIFF) or from libvips' own cache (JPEG, PNG), which
moves to a temporary file above 100 MB. Where libvips does not load, Pillow decodes the image once.

Every window comes as uint8 RGB. Grey images are repeated over the channels, transparent ones are
laid on white (the colour of an empty slide), the pages of an OME-TIFF of three channels are its
colours, and 16-bit values are scaled by 255 / 65535 and
truncated, as in the published library. Orientation tags are ignored: spot coordinates refer to
the pixels as stored.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from spared_bench.errors import ImageError

#: For libvips; without ``revalidate`` it shows the file that once had this name.
LOADING = {"access": "random", "fail_on": "error", "revalidate": True}
#: In the description of an OME-TIFF; where its pages have one band, each is a colour.
_CHANNELS_AS_PAGES = 'SizeC="3"'


class Image(Protocol):
    """An open image."""

    width: int
    height: int

    def window(self, left: int, top: int, width: int, height: int) -> np.ndarray:
        """Read a window that lies in the image: (height, width, 3), uint8."""
        ...


def open_image(path: str | Path, fluorescence: bool = False) -> Image:
    """Open an image for reading windows.

    Parameters
    ----------
    path : str or Path
        JPEG, PNG, or what libvips reads (TIFF, SVS, ...).
    fluorescence : bool
        Whether its channels, or its pages, are stains: the first three become red, green and blue,
        and none of them is a transparency.

    Returns
    -------
    Image
        With ``width``, ``height`` and ``window(left, top, width, height)``.

    Raises
    ------
    ImageError
        If the file is missing, or no image. Damage further in shows when a window is read.
    """
    if not str(path) or not Path(path).is_file():
        raise ImageError(
            f"There is no image at {str(path)!r}. Check the path, or fetch the dataset again."
        )
    try:
        import pyvips
    except (ImportError, OSError):  # OSError: the library behind the package is missing
        if fluorescence:
            raise ImageError(
                f"The stains of {path} can only be read with libvips. Install `pyvips[binary]`."
            ) from None
        return PillowImage(Path(path))
    if fluorescence:
        from spared_bench.processing.fluorescence import FluorescenceImage

        return FluorescenceImage(Path(path), pyvips)
    return VipsImage(Path(path), pyvips)


def image_size(path: str | Path) -> tuple[int, int]:
    """Return width and height in pixels, from the header alone where the format has one."""
    image = open_image(path)
    return image.width, image.height


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
        blocks = strip.reshape(rows // step, step, image.width // step, step, 3)
        strips.append(blocks.mean(axis=(1, 3)).astype(np.uint8))
    return np.concatenate(strips), 1 / step


class VipsImage:
    """An image behind libvips."""

    def __init__(self, path: Path, vips: Any) -> None:
        self._path, self._error = path, vips.Error
        try:
            image = vips.Image.new_from_file(str(path), **LOADING)
            if image.bands == 1 and _CHANNELS_AS_PAGES in _description(image):
                pages = (vips.Image.new_from_file(str(path), page=n, **LOADING) for n in (1, 2))
                image = image.bandjoin(list(pages))
            if image.interpretation not in ("srgb", "rgb", "rgb16", "b-w", "grey16", "multiband"):
                image = image.colourspace("srgb")
        except vips.Error as error:
            raise undecodable(path, error) from error
        if image.format not in ("uchar", "ushort"):
            raise unsupported(path, f"pixels of type {image.format!r}")
        self.width, self.height, self._bands = image.width, image.height, image.bands
        self._dtype = np.uint8 if image.format == "uchar" else np.uint16
        self._region = vips.Region.new(image)

    def window(self, left: int, top: int, width: int, height: int) -> np.ndarray:
        """Read a window that lies in the image: (height, width, 3), uint8."""
        try:
            raw = self._region.fetch(left, top, width, height)
        except self._error as error:
            raise undecodable(self._path, error) from error
        pixels = np.frombuffer(raw, dtype=self._dtype).reshape(height, width, self._bands)
        return as_rgb(pixels, self._path)


def _description(image: Any) -> str:
    field = "image-description"
    return str(image.get(field)) if field in image.get_fields() else ""


class PillowImage:
    """An image that Pillow decodes whole, in its own memory."""

    def __init__(self, path: Path) -> None:
        import PIL.Image

        try:
            with warnings.catch_warnings():
                # A slide has more pixels than the limit meant for pictures from strangers.
                warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)
                image = PIL.Image.open(path)
                image.load()
        except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:
            raise undecodable(path, error) from error
        modes = ("L", "LA", "RGB", "RGBA", "I;16")
        self._image = image if image.mode in modes else image.convert("RGB")
        self._path = path
        self.width, self.height = image.size

    def window(self, left: int, top: int, width: int, height: int) -> np.ndarray:
        """Read a window that lies in the image: (height, width, 3), uint8."""
        pixels = np.asarray(self._image.crop((left, top, left + width, top + height)))
        return as_rgb(pixels.reshape(height, width, -1), self._path)


def as_rgb(pixels: np.ndarray, path: Path) -> np.ndarray:
    """Turn 1-4 channels of 8 or 16 bits into uint8 RGB (see the module's docstring)."""
    if pixels.dtype == np.uint16:
        pixels = (pixels / 65535 * 255).astype(np.uint8)
    bands = pixels.shape[2]
    if bands not in (1, 2, 3, 4):
        raise unsupported(path, f"{bands} channels")
    if bands in (2, 4):
        opacity = pixels[..., -1:] / 255
        pixels = np.rint(pixels[..., :-1] * opacity + 255 * (1 - opacity)).astype(np.uint8)
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


def undecodable(path: Path, error: Exception) -> ImageError:
    reason = " ".join(str(error).split())[:300]
    return ImageError(
        f"The image {path} ({path.stat().st_size:,} bytes) cannot be decoded: {reason}. It is"
        " damaged or incomplete, or no image; fetch it again."
    )


def unsupported(path: Path, what: str) -> ImageError:
    return ImageError(
        f"The image {path} has {what}; expected 1-4 channels of 8 or 16 bits. Convert it to an"
        " 8-bit RGB TIFF, PNG or JPEG."
    )
