"""Images that Pillow decodes whole, in its own memory: what libvips does not know, or cannot load.

JPEG 2000 of 8 bits, BMP and PPM are among them.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np

from spared_bench.processing.blocks import BlockImage, even_edges
from spared_bench.processing.colours import Colours
from spared_bench.processing.image_errors import inks, undecodable, unsupported

_BLOCK_ROWS = 64
_MODES = ("L", "LA", "RGB", "RGBA", "I;16", "I;16B", "I;16L")
_CONVERTED = {"1": "L", "YCbCr": "RGB", "RGBX": "RGB", "RGBa": "RGBA", "La": "LA"}
_HEADER_BYTES = 65_536
_PORTABLE = re.compile(rb"P[56](?:\s|#[^\n]*\n)+(?:\d+(?:\s|#[^\n]*\n)+){2}(\d+)\s")
_PNG = b"\x89PNG"
_OF_FLOATS = ("F", "I", "LAB", "HSV")


class PillowImage(BlockImage):
    """An image that Pillow decodes whole, in its own memory."""

    def __init__(self, path: Path, fluorescence: bool) -> None:
        import PIL.Image

        try:
            with warnings.catch_warnings():
                # A slide has more pixels than the limit meant for pictures from strangers.
                warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)
                image: PIL.Image.Image = PIL.Image.open(path)
                image.load()
        except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:
            raise undecodable(path, error) from error
        if image.mode == "CMYK":
            raise inks(path)
        if image.mode in _OF_FLOATS:
            raise unsupported(path, f"pixels of mode {image.mode!r}")
        if image.mode in ("P", "PA"):
            image = image.convert("RGBA" if image.has_transparency_data else "RGB")
        if image.mode not in _MODES:
            image = image.convert(_CONVERTED.get(image.mode, "RGB"))
        self._image = image
        deep = image.mode.startswith("I;16")
        bands = len(image.getbands())
        opacity = bands - 1 if bands in (2, 4) and not fluorescence else None
        super().__init__(
            path,
            even_edges(image.height, _BLOCK_ROWS),
            np.array([0, image.width]),
            bands,
            np.dtype(np.uint16 if deep else np.uint8),
            Colours(
                top=65535 if deep else 255,
                opacity=opacity,
                reduced=not deep and _of_sixteen_bits(path),
                stains=fluorescence,
            ),
        )

    def decode(self, row: int, column: int) -> np.ndarray:
        """Decode one block: (height, width, bands)."""
        top, bottom = int(self.rows[row]), int(self.rows[row + 1])
        pixels = np.asarray(self._image.crop((0, top, self.width, bottom)))
        return pixels.reshape(bottom - top, self.width, -1)


def _of_sixteen_bits(path: Path) -> bool:
    """Whether a file stores 16 bits and says of no fewer, of which Pillow's colours keep eight."""
    with path.open("rb") as file:
        start = file.read(_HEADER_BYTES)
    if portable := _PORTABLE.match(start):
        return int(portable[1]) == 65535
    return start.startswith(_PNG) and start[24:25] == b"\x10"
