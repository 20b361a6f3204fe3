"""Images that come inside another file, kept as files of their own."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import IO

import numpy as np

from spared_bench.errors import ImageError
from spared_bench.processing.colours import Colours
from spared_bench.readers.few_bits import LARGEST

_COLOURS = 3
#: Resampling with a spline or a Lanczos kernel overshoots by a fifth at most, and by more than a
#: little in few values; otherwise the range is another one.
_OVERSHOOT, _SMALL, _FEW = 0.25, 0.05, 0.01
_ROUNDING = 1e-3
_SEAL_BYTES, _CHUNK_BYTES = 20, 1 << 20
_HALF = 128  # the brightest of a slide is brighter: per cent, or another range, end below
_DARK = 1 / 4  # of the range: where all is below it, the range is another one
_FAINT = 1 / 16  # of the range: an opacity that is nowhere above it shows nothing


def keep_image(
    pixels: np.ndarray, folder: Path, name: str, source: Path, opacity: bool = False
) -> tuple[Path, list[str]]:
    """Write an image as tiled TIFF, unless one of the same pixels is there, and is whole.

    Parameters
    ----------
    pixels : ndarray of shape (height, width), or (height, width, 1, 3 or 4)
        uint8 or uint16; other integers between 0 and 255, or floating between 0 and 1, or between
        0 and 255, where the largest is at least 128.
    folder : Path
        Made if it is not there.
    name : str
        Of the file; what does not belong into a name is replaced.
    source : Path
        Where the image comes from.
    opacity : bool
        Whether the source says that the fourth channel is an opacity.

    Returns
    -------
    path : Path
    notes : list of str
        What was changed, in sentences.

    Raises
    ------
    ImageError
        If the array is no image, or it is not clear what its values or channels mean.
    """
    path = folder / f"{re.sub(r'[^A-Za-z0-9.-]', '_', name)}.tif"
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    grey = pixels.ndim == 2
    if not pixels.size or not (grey or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))):
        raise ImageError(
            f"The image in {source} has shape {pixels.shape}; expected (height, width, 3)."
            f"{' Its channels come first: put them last.' if _channels_first(pixels) else ''}"
        )
    pixels, clipped = _as_integers(pixels, source)
    pixels, left_out = _without_dummy(pixels, source, opacity)
    content = hashlib.blake2b(f"{pixels.shape} {pixels.dtype}".encode(), digest_size=20)
    content.update(np.ascontiguousarray(pixels).data)
    if not _holds(path, content.hexdigest()):
        folder.mkdir(parents=True, exist_ok=True)
        _write(path, pixels, content.hexdigest())
    return path, [*clipped, *left_out]


def _channels_first(pixels: np.ndarray) -> bool:
    return pixels.ndim == 3 and pixels.shape[0] in (1, 3, 4) and min(pixels.shape[1:]) > 4


def _holds(path: Path, content: str) -> bool:
    """Return whether a file was written from pixels of this hash, and is as it was written."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            same = bool(tiff.pages.first.description == content)
        with path.open("rb") as file:
            length = path.stat().st_size - _SEAL_BYTES
            return same and _seal(file, length) == file.read()
    except (OSError, tifffile.TiffFileError):
        return False


def _seal(file: IO[bytes], length: int) -> bytes:
    """Return a hash of so many bytes of a file, which stands behind its last byte.

    Its first bytes say what it was written from, and nothing of how much of it is there.
    """
    told = hashlib.blake2b(digest_size=_SEAL_BYTES)
    while length > 0 and (chunk := file.read(min(length, _CHUNK_BYTES))):
        told.update(chunk)
        length -= len(chunk)
    return told.digest()


def _write(path: Path, pixels: np.ndarray, content: str) -> None:
    import tifffile

    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    colour = pixels.ndim == 3
    try:
        tifffile.imwrite(
            partial,
            pixels,
            photometric="rgb" if colour else "minisblack",
            extrasamples=["unassalpha"] if colour and pixels.shape[2] > _COLOURS else None,
            tile=(256, 256),
            compression="zlib",  # so that damage shows
            compressionargs={"level": 1},
            description=content,
            metadata=None,
        )
        with partial.open("r+b") as file:
            seal = _seal(file, partial.stat().st_size)
            file.write(seal)  # behind its end, where readers of TIFF do not look
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _as_integers(pixels: np.ndarray, source: Path) -> tuple[np.ndarray, list[str]]:
    """Return uint8 or uint16; what cannot be told from the values is refused."""
    if pixels.dtype.kind not in "iuf":
        raise ImageError(f"The image in {source} holds {pixels.dtype}; expected uint8 colours.")
    if not np.isfinite(pixels).all():
        bad = int((~np.isfinite(np.atleast_3d(pixels))).any(axis=-1).sum())
        raise ImageError(
            f"The image in {source} holds nan or infinite values in {bad:,} pixels. Fill them, for"
            " example with white, and write the file again."
        )
    low, high = float(pixels.min()), float(pixels.max())
    if pixels.dtype.kind == "f":
        return _from_floats(pixels, low, high, source)
    if high <= 1:
        raise _unclear_range(pixels, low, high, source)
    if pixels.dtype == np.uint8 and high <= LARGEST:
        raise ImageError(
            f"The image in {source} holds uint8 from {low:.0f} to {high:.0f}, as of four bits, so"
            " it is not clear which value is white. Multiply it by 17 and write the file again. If"
            " it really is that dark, save it as TIFF with the tag MaxSampleValue (281) of 255 and"
            " name that file as the slide's `image`."
        )
    if pixels.dtype == np.uint8:
        return pixels, []
    if pixels.dtype == np.uint16 and not Colours(top=65535).dark(np.atleast_3d(pixels)):
        return pixels, []
    if pixels.dtype == np.uint16 or low < 0 or not _HALF <= high <= 255:
        raise _unclear_range(pixels, low, high, source)
    return pixels.astype(np.uint8), []


def _from_floats(
    pixels: np.ndarray, low: float, high: float, source: Path
) -> tuple[np.ndarray, list[str]]:
    top = 1.0 if high <= 1 + _OVERSHOOT else 255.0
    far = np.abs(pixels - top / 2) > top * (1 / 2 + _SMALL)
    odd = high > top * (1 + _OVERSHOOT) or low < -top * _OVERSHOOT or far.mean() > _FEW
    odd |= high <= top * _DARK  # of fewer bits than it was divided by
    if odd or 1 + _OVERSHOOT < high < _HALF:
        raise _unclear_range(pixels, low, high, source)
    notes = []
    if low < -top * _ROUNDING or high > top * (1 + _ROUNDING):
        notes.append(f"Values of the image from {low:.4g} to {high:.4g}, cut to 0-{top:.0f}.")
    scaled = np.clip(pixels, 0, top) * (255 / top)
    return np.rint(scaled).astype(np.uint8), notes


def _unclear_range(pixels: np.ndarray, low: float, high: float, source: Path) -> ImageError:
    return ImageError(
        f"The image in {source} holds {pixels.dtype} from {low:.6g} to {high:.6g}, so it is not"
        " clear which value is white. Scale it to uint8 from 0 to 255, or to floats from 0 to 1,"
        " and write the file again."
    )


def _without_dummy(pixels: np.ndarray, source: Path, opacity: bool) -> tuple[np.ndarray, list[str]]:
    """Leave a fourth channel out that says nothing; refuse one that is not said to be opacity."""
    if pixels.ndim == 2 or pixels.shape[2] == _COLOURS:
        return pixels, []
    fourth, colours = pixels[..., _COLOURS], pixels[..., :_COLOURS]
    if (fourth == np.iinfo(pixels.dtype).max).all():
        return colours, []
    if opacity and fourth.max() > np.iinfo(pixels.dtype).max * _FAINT:
        return pixels, []
    if opacity:
        raise ImageError(
            f"The image in {source} is transparent everywhere: its fourth channel is nowhere"
            " above a sixteenth of its range. Write it again without that channel."
        )
    if fourth.any():
        raise ImageError(
            f"The image in {source} has a fourth channel, and the file does not say whether it is"
            " an opacity or a stain. Write the image again with red, green and blue only."
        )
    return colours, ["The fourth channel of the image is 0 everywhere, left out."]
