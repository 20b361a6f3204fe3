"""TIFF images (also SVS, OME-TIFF, NDPI, ...): see ``tiff_layout`` and ``tiff_planes``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from spared_bench.errors import ImageError
from spared_bench.processing.blocks import BlockImage
from spared_bench.processing.colours import Colours
from spared_bench.processing.image_errors import no_codec, unclear, undecodable, unsupported
from spared_bench.processing.tiff_layout import colours_of, planes_of
from spared_bench.processing.tiff_planes import Plane, TiffFileBytes

_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_LARGEST_STRIP = 128 * 2**20  # bytes: decoded whole, where it is compressed
_LARGEST_TILE = 2**30
_RAW, _CONTIGUOUS, _COLOURS = 1, 1, 3
_JPEG = (6, 7)


class TiffImage(BlockImage):
    """An image of one or several planes, in tiles or strips."""

    def __init__(self, path: Path, planes: list[Plane], dtype: np.dtype, colours: Colours) -> None:
        self._planes = planes
        bands = sum(plane.samples for plane in planes)
        super().__init__(path, planes[0].rows, planes[0].columns, bands, dtype, colours)

    def decode(self, row: int, column: int) -> np.ndarray:
        """Decode one block: (height, width, bands)."""
        parts = [plane.block(row, column) for plane in self._planes]
        block = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)
        return block.astype(np.uint8) if block.dtype == bool else block


def is_tiff(path: Path) -> bool:
    """Return whether a file begins as TIFF, classic or big, does."""
    with path.open("rb") as file:
        return file.read(4) in _SIGNATURES


def open_tiff(path: Path, fluorescence: bool) -> BlockImage:
    """Open a TIFF.

    Raises
    ------
    ImageError
        If it is damaged, its codec is missing, or it does not say what its colours are.
    """
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            _check_first(path, tiff.series, fluorescence)
            pages = planes_of(tiff, path, fluorescence)
            colours = colours_of(tiff, pages, path, fluorescence)
            page = pages[0]
            _check_codec(path, page)
            if page.imagedepth > 1:
                raise unsupported(path, f"a depth of {page.imagedepth} pixels")
            file = TiffFileBytes(path)
            apart = 1 if page.planarconfig == _CONTIGUOUS else page.samplesperpixel
            planes = [
                Plane(file, page, sample, brightfield=not fluorescence)
                for page in pages
                for sample in range(apart)
            ]
            dtype = np.dtype(np.uint8) if page.dtype.kind == "b" else page.dtype.newbyteorder("=")
            tiled, number, compression = page.is_tiled, page.index, int(page.compression)
    except ImageError:
        raise
    except Exception as error:  # of a file that may hold anything
        raise undecodable(path, error) from error
    size = planes[0].segment_bytes
    if not planes[0].divisible and size > (_LARGEST_TILE if tiled else _LARGEST_STRIP):
        if tiled or len(planes) > 1 or colours.palette is not None or colours.inverted:
            raise unsupported(path, f"tiles or strips of {size:,} bytes each")
        from spared_bench.processing.vips_image import open_strip

        return open_strip(path, number, dtype, colours, by_rows=compression not in _JPEG)
    return TiffImage(path, planes, dtype, colours)


def _check_first(path: Path, series: list[Any], fluorescence: bool) -> None:
    """Refuse a file whose first image may not be its slide: a label, one scene, or a mask."""
    sizes = [(each.keyframe.imagewidth, each.keyframe.imagelength) for each in series]
    largest = max(sizes, key=math.prod)
    if math.prod(sizes[0]) < math.prod(largest):
        raise unclear(
            path,
            f"{len(series)} images, and its first, of {sizes[0][0]} x {sizes[0][1]} pixels, is"
            f" smaller than one of {largest[0]} x {largest[1]}",
        )
    bands = [
        math.prod(each.shape) // math.prod(size) for each, size in zip(series, sizes, strict=True)
    ]
    alike = [n for n, size in zip(bands, sizes, strict=True) if size == sizes[0]]
    if bands[0] == 1 and _COLOURS in alike:
        raise unclear(path, f"{len(series)} images of its size, the first in grey, one in colour")
    kinds = [(n, size, each.dtype) for n, size, each in zip(bands, sizes, series, strict=True)]
    if not fluorescence and kinds.count(kinds[0]) > 1:
        raise unclear(path, f"{kinds.count(kinds[0])} images alike, of which any may be the slide")


def _check_codec(path: Path, page: object) -> None:
    """Refuse a codec that tifffile does not know, before anything is read."""
    from tifffile import TIFF

    compression = int(page.compression)  # type: ignore[attr-defined]
    if compression == _RAW:
        return
    try:
        TIFF.DECOMPRESSORS[compression]
    except KeyError as error:
        name = getattr(page.compression, "name", str(compression))  # type: ignore[attr-defined]
        raise no_codec(path, name, error) from error
