"""Files of images of which a reader takes one picture, or one plane, and says nothing of the rest.

libvips reads the first frame of an animated PNG and the first picture of a JPEG that holds several
(MPO), Pillow that of a sequence in AVIF or the largest of an icon, and the first plane of a FITS.
"""

from __future__ import annotations

import warnings
from pathlib import Path

from spared_bench.errors import ImageError
from spared_bench.processing.image_errors import unclear, unsupported
from spared_bench.processing.tiff_image import is_tiff
from spared_bench.sources.jpeg2000 import check_bands

_WITH_PREVIEWS = "MPO"  # a JPEG with more behind it: of a camera's, previews and maps of brightness
_LAYERED = "PSD"  # whose picture is kept beside its layers
#: Values of these are scaled by what Pillow does not heed, and only the first plane is read.
_MEASURED = ("FITS", "SPIDER", "MCIDAS")
_TARGA, _OPACITY_BITS = "TGA", (17, 0x0F)  # where its header says how many bits are an opacity


def check_picture(path: Path) -> None:
    """Refuse an image, no TIFF, that holds several pictures or planes, or bands that are not told.

    Of TIFF, pages are looked at where it is opened.

    Parameters
    ----------
    path : Path

    Raises
    ------
    ImageError
    """
    import PIL.Image

    if is_tiff(path):
        return
    check_bands(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)
            opened = PIL.Image.open(path)
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError):
        return  # which is told where it is decoded, or is a format of libvips alone
    with opened as image:
        if image.format in _MEASURED:
            raise unsupported(
                path,
                f"the format {image.format}, whose values are measurements and no colours until"
                " somebody says which is white",
            )
        if image.format == _TARGA and image.mode == "RGBA" and not _opacity_bits(path):
            raise unclear(path, "four channels, and its header says that none is an opacity")
        pictures = _pictures(image)
    if pictures > 1:
        raise unclear(path, f"{pictures} pictures and does not say which is the image")


def _opacity_bits(path: Path) -> int:
    """Return how many bits of a pixel of a Targa are an opacity, by its header."""
    place, mask = _OPACITY_BITS
    with path.open("rb") as file:
        return file.read(place + 1)[place] & mask


def _pictures(image: object) -> int:
    """Return how many pictures a file holds that could be the slide."""
    from PIL.Image import Image

    assert isinstance(image, Image)
    if sizes := image.info.get("sizes"):  # of an icon
        return len(sizes)
    frames = int(getattr(image, "n_frames", 1))
    if image.format == _LAYERED:
        return 1
    if image.format != _WITH_PREVIEWS:
        return frames
    largest, alike = image.width * image.height, 1
    for place in range(1, frames):
        try:
            image.seek(place)
        except (EOFError, OSError, ValueError, SyntaxError, ImageError):
            continue
        alike += image.width * image.height >= largest
    return alike
