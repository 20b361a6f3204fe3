"""Files of images of which a reader takes one picture, or one plane, and says nothing of the rest.

libvips reads the first frame of an animated PNG and the first picture of a JPEG that holds several
(MPO), Pillow that of a sequence in AVIF or the largest of an icon, and the first plane of a FITS.
Of a TIFF the first image is read, at the first level of its pyramid.
"""

from __future__ import annotations

import math
import re
import warnings
from pathlib import Path
from typing import Any

from spared_bench.errors import ImageError
from spared_bench.processing.image_errors import unclear, unsupported
from spared_bench.processing.tiff_image import is_tiff
from spared_bench.sources.jpeg2000 import check_bands

#: Files that are JPEG or TIFF by their content.
_ELSEWHERE = {".mrxs": "3DHISTECH (MIRAX)", ".vsi": "Olympus or Evident (cellSens)"}
_WITH_PREVIEWS = "MPO"  # a JPEG with more behind it: of a camera's, previews and maps of brightness
_LAYERED = "PSD"  # whose picture is kept beside its layers
#: Values of these are scaled by what Pillow does not heed, and only the first plane is read.
_MEASURED = ("FITS", "SPIDER", "MCIDAS")
#: Of the pixels of the first: reduced copies have a quarter, labels and overviews far fewer.
_NEARLY, _COLOURS = 0.5, 3
#: Words in names of pictures that are no scan: beside a small region they may be as large as it.
_NO_SCANS = {"label", "macro", "map", "overview", "thumbnail"}
_TARGA, _OPACITY_BITS = "TGA", (17, 0x0F)  # where its header says how many bits are an opacity


def refuse_preview(path: Path) -> None:
    """Refuse a file that shows a slide small, whose pixels lie in a folder beside it.

    Raises
    ------
    ImageError
    """
    if scanner := _ELSEWHERE.get(path.suffix.casefold()):
        raise ImageError(
            f"The image {path} is of {scanner}: it holds a preview, and its pixels lie in a folder"
            " beside it, which no reader here knows. Export the slide as (OME-)TIFF at full"
            " resolution, as QuPath does, and name that file."
        )


def check_picture(path: Path) -> None:
    """Refuse an image that holds several pictures or planes, or bands that are not told.

    Of TIFF, channels and pages alike are looked at where it is opened.

    Parameters
    ----------
    path : Path

    Raises
    ------
    ImageError
    """
    import PIL.Image

    refuse_preview(path)
    if is_tiff(path):
        _check_tiff(path)
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


def _check_tiff(path: Path) -> None:
    """Refuse a TIFF that shows another picture nearly as large, or larger below its first."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            first, *others = tiff.series
            largest = _size(first)
            below = max((_size(level) for level in first.levels), key=math.prod)
            scans = [_size(each) for each in others if _may_be_scan(each)]
    except (OSError, ValueError, tifffile.TiffFileError):
        return  # which is told where it is opened
    near = [size for size in scans if math.prod(size) >= _NEARLY * math.prod(largest)]
    told = f"its first, of {largest[0]} x {largest[1]} pixels"
    if math.prod(below) > math.prod(largest):
        raise unclear(
            path,
            f"a pyramid of which {told}, is smaller than one below it, of {below[0]} x {below[1]}",
        )
    if near:
        raise unclear(
            path,
            f"{len(near) + 1} pictures, of which any may be the slide: {told}, and one of"
            f" {near[0][0]} x {near[0][1]}",
        )


def _may_be_scan(series: Any) -> bool:
    words = set(re.split(r"[\W_]+", str(series.name).casefold()))
    return series.keyframe.samplesperpixel >= _COLOURS and not words & _NO_SCANS


def _size(series: Any) -> tuple[int, int]:
    return series.keyframe.imagewidth, series.keyframe.imagelength


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
