"""Images that libvips reads and are no TIFF: JPEG, PNG, WebP, ...

They are decoded from top to bottom, once, as long as windows are asked for in that order. For any
other order libvips keeps the decoded image, above 100 MB in a temporary file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from spared_bench.errors import ImageError
from spared_bench.processing.blocks import BlockImage, even_edges
from spared_bench.processing.colours import Colours
from spared_bench.processing.image_errors import (
    inks,
    large_strip,
    unclear,
    undecodable,
    unsupported,
)
from spared_bench.processing.vips_threads import require_threads

#: ``revalidate``: without it libvips shows the file that once had this name.
_LOADING = {"fail_on": "error", "revalidate": True}
_BLOCK_ROWS = 64
_MOST_AHEAD = 16  # blocks that were decoded on the way to another
_GREY_OR_RGB = ("srgb", "rgb", "rgb16", "b-w", "grey16", "multiband")


class VipsImage(BlockImage):
    """An image behind libvips."""

    def __init__(
        self,
        path: Path,
        colours: Colours,
        bands: int,
        dtype: np.dtype,
        *,
        by_rows: bool = True,
        fault: Callable[[Path, Exception], ImageError] = undecodable,
        **options: Any,
    ) -> None:
        self._options, self._fault = options, fault
        self._access = "sequential" if by_rows else "random"
        image = _load(path, self._access, options)
        rows, columns = even_edges(image.height, _BLOCK_ROWS), np.array([0, image.width])
        super().__init__(path, rows, columns, bands, dtype, colours)
        self._reading, self._next = Lock(), 0
        self._ahead: dict[int, np.ndarray] = {}
        self._image, self._in_order = image, by_rows

    def decode(self, row: int, column: int) -> np.ndarray:
        """Decode one block: (height, width, bands)."""
        with self._reading:
            if row in self._ahead:
                return self._ahead.pop(row)
            if self._in_order and row < self._next:
                self._image, self._in_order = self._load("random"), False
            if not self._in_order:
                return self._fetch(self._image, row)
            for passed in range(self._next, row):
                self._ahead[passed] = self._fetch(self._image, passed)
                self._ahead.pop(passed - _MOST_AHEAD, None)
            self._next = row + 1
            return self._fetch(self._image, row)

    def every_block(self) -> Iterator[np.ndarray]:
        """Decode all blocks, one after the other, past the cache."""
        image = self._load(self._access)
        for row in range(len(self.rows) - 1):
            yield self._fetch(image, row)

    def _load(self, access: str) -> Any:
        return _load(self.path, access, self._options)

    def _fetch(self, image: Any, row: int) -> np.ndarray:
        import pyvips

        require_threads(self.path)
        top, height = int(self.rows[row]), int(self.rows[row + 1] - self.rows[row])
        try:
            pixels = image.crop(0, top, self.width, height).numpy()
        except pyvips.Error as error:
            raise self._fault(self.path, error) from error
        return np.asarray(pixels, dtype=self._dtype).reshape(height, self.width, self._bands)


def open_vips(path: Path, fluorescence: bool) -> VipsImage:
    """Open an image that is no TIFF.

    Raises
    ------
    ImageError
        If it cannot be decoded, or its pixels are no colours.
    UnknownFormatError
        If libvips does not know the format.
    """
    image = _load(path, "sequential", {})
    if image.bands > 4:
        raise unsupported(path, f"{image.bands} channels of kind {image.interpretation!r}")
    if (frames := image.get_n_pages()) > 1:
        raise unclear(path, f"{frames} frames and does not say which is the image")
    opacity = image.bands - 1 if image.hasalpha() and not fluorescence else None
    if not fluorescence and image.bands - (opacity is not None) not in (1, 3):
        raise unclear(path, f"{image.bands} channels and does not say which are colours")
    eight = image.format == "uchar"
    colours = Colours(top=255 if eight else 65535, opacity=opacity, stains=fluorescence)
    return VipsImage(path, colours, image.bands, np.dtype(np.uint8 if eight else np.uint16))


def open_strip(
    path: Path, page: int, dtype: np.dtype, colours: Colours, *, by_rows: bool
) -> VipsImage:
    """Open a TIFF whose compressed strips are too large to be decoded in one piece.

    libvips reads them row by row; in strips, unlike in tiles, it tells of damage, and of codecs
    that it lacks or decodes as a whole. A strip of JPEG it decodes as a whole (not ``by_rows``),
    and keeps.
    """
    # All that is coded of a strip is held, of which libvips else allows 50 MiB.
    options = {"page": page, "unlimited": True}
    image = _load(path, "sequential", options)
    return VipsImage(
        path, colours, image.bands, dtype, by_rows=by_rows, fault=large_strip, **options
    )


class UnknownFormatError(ImageError):
    """A file of a format that libvips does not know."""


def _load(path: Path, access: str, options: dict[str, Any]) -> Any:
    import pyvips

    try:
        image = pyvips.Image.new_from_file(str(path), access=access, **_LOADING, **options)
    except pyvips.Error as error:
        if "not a known file format" in str(error) or "not in a known format" in str(error):
            raise UnknownFormatError(str(error)) from error
        raise undecodable(path, error) from error
    if image.format not in ("uchar", "ushort"):
        raise unsupported(path, f"pixels of type {image.format!r}")
    if image.interpretation == "cmyk":
        raise inks(path)
    if image.interpretation not in _GREY_OR_RGB:
        raise unsupported(path, f"colours of kind {image.interpretation!r}")
    return image
