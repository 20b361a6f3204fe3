"""Windows of fluorescence images: a plane for each stain, as bands of one image or as pages.

The published library drops the last channel of an image that has not three, so the first three
stains are the colours here too; where there are fewer, the others are black. 16-bit values are
scaled by 255 / 65535 and truncated, as for other images.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from spared_bench.processing.images import LOADING, undecodable, unsupported

_COLOURS = 3


class FluorescenceImage:
    """An image of one to many stains behind libvips."""

    def __init__(self, path: Path, vips: Any) -> None:
        self._path, self._error = path, vips.Error
        try:
            first = vips.Image.new_from_file(str(path), **LOADING)
            pages = first.get("n-pages") if "n-pages" in first.get_fields() else 1
            planes = [first]
            if first.bands == 1:
                planes += _further_pages(path, vips, first, min(pages, _COLOURS))
        except vips.Error as error:
            raise undecodable(path, error) from error
        if first.format not in ("uchar", "ushort"):
            raise unsupported(path, f"pixels of type {first.format!r}")
        self.width, self.height = first.width, first.height
        self._dtype = np.uint8 if first.format == "uchar" else np.uint16
        self._planes = [(vips.Region.new(plane), plane.bands) for plane in planes]

    def window(self, left: int, top: int, width: int, height: int) -> np.ndarray:
        """Read a window that lies in the image: (height, width, 3), uint8."""
        try:
            stains = [
                np.frombuffer(region.fetch(left, top, width, height), dtype=self._dtype).reshape(
                    height, width, bands
                )
                for region, bands in self._planes
            ]
        except self._error as error:
            raise undecodable(self._path, error) from error
        pixels = np.concatenate(stains, axis=2)[..., :_COLOURS]
        if pixels.dtype == np.uint16:
            pixels = (pixels / 65535 * 255).astype(np.uint8)
        return np.pad(pixels, ((0, 0), (0, 0), (0, _COLOURS - pixels.shape[2])))


def _further_pages(path: Path, vips: Any, first: Any, count: int) -> list[Any]:
    """Return the pages after the first that are as large; those of a pyramid are not."""
    found = []
    for number in range(1, count):
        page = vips.Image.new_from_file(str(path), page=number, **LOADING)
        if (page.width, page.height, page.bands) == (first.width, first.height, 1):
            found.append(page)
    return found
