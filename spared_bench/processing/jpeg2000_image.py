"""JPEG 2000 of other than 8 bits, decoded whole through imagecodecs.

Of more bits of several bands Pillow keeps eight, rounds them up, and lets the largest values go to
0 by it: white became black. Of fewer, its white is grey: it fills up with zeros.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from spared_bench.errors import ImageError
from spared_bench.processing.blocks import BlockImage, even_edges
from spared_bench.processing.colours import Colours
from spared_bench.processing.image_errors import inks, unclear, undecodable, unsupported

_CODESTREAM = b"\xff\x4f\xff\x51"
_FILE = b"\0\0\0\x0cjP  \r\n\x87\n"
_HEADER_BYTES = 1 << 20
_PALETTE = b"pclr"  # whose colours have a depth of their own
_SIGNED, _EIGHT_BITS, _MOST_BITS = 0x80, 8, 16
_MOST_PIXELS = 178_956_970  # as Pillow decodes at most: a header may say anything
_WITH_ALPHA, _MOST_BANDS = (2, 4), 4
_CMYK, _COLOURS = 12, (16, 17)  # sRGB and grey, of the box "colr"
_BLOCK_ROWS = 64


class Jpeg2000Header(NamedTuple):
    """What a JPEG 2000 says of its size and its bands.

    Parameters
    ----------
    width, height : int
        In pixels.
    depths : list of int
        Of each band, one less than its bits; 128 more if its values have signs.
    boxes : bytes
        What stands before the coded data.
    """

    width: int
    height: int
    depths: list[int]
    boxes: bytes

    @property
    def signed(self) -> bool:
        """Whether a band has values below 0."""
        return any(depth & _SIGNED for depth in self.depths)

    @property
    def bits(self) -> int:
        """How many bits the deepest band has."""
        return max(((depth & ~_SIGNED) + 1 for depth in self.depths), default=0)


def jpeg2000_header(path: Path) -> Jpeg2000Header | None:
    """Read the header of a JPEG 2000; ``None`` for a file of another format."""
    with path.open("rb") as file:
        start = file.read(len(_FILE))
        if not start.startswith((_CODESTREAM, _FILE)):
            return None
        start += file.read(_HEADER_BYTES)
    at = start.find(_CODESTREAM)
    if at < 0:
        return None
    # SIZ: marker, length, capabilities, eight lengths of 4 bytes (first right and lower edge, left
    # and upper edge); then the bands, 3 bytes each.
    right, lower, left, upper = (
        int.from_bytes(start[at + place : at + place + 4], "big") for place in (8, 12, 16, 20)
    )
    n_bands = int.from_bytes(start[at + 40 : at + 42], "big")
    depths = list(start[at + 42 : at + 42 + 3 * n_bands : 3])
    return Jpeg2000Header(right - left, lower - upper, depths, start[:at])


class Jpeg2000Image(BlockImage):
    """A JPEG 2000 of 1 to 16 bits, in its own memory.

    Raises
    ------
    ImageError
        If it is too large or cannot be decoded, or its bands are no colours.
    """

    def __init__(self, path: Path, header: Jpeg2000Header, fluorescence: bool) -> None:
        import imagecodecs

        bits, bands = header.bits, len(header.depths)
        if len(set(header.depths)) > 1 or bits > _MOST_BITS:
            raise unsupported(path, f"bands of {bits} bits, or of unlike ones")
        if header.width * header.height > _MOST_PIXELS:
            raise ImageError(
                f"The image {path} says that it has {header.width:,} x {header.height:,} pixels."
                f" JPEG 2000 is decoded whole, {_MOST_PIXELS:,} pixels at most. Convert it to a"
                " tiled TIFF."
            )
        if not fluorescence:
            _check_colours(path, header)
        try:
            pixels = imagecodecs.jpeg2k_decode(path.read_bytes())
        except Exception as error:  # of a file that may hold anything
            raise undecodable(path, error) from error
        self._pixels = np.asarray(pixels).reshape(*pixels.shape[:2], -1)
        dtype = np.dtype(np.uint8 if bits <= _EIGHT_BITS else np.uint16)
        if self._pixels.dtype != dtype or self._pixels.shape[2] != bands:
            raise unsupported(path, f"{bands} bands, decoded as {pixels.dtype} {pixels.shape}")
        super().__init__(
            path,
            even_edges(pixels.shape[0], _BLOCK_ROWS),
            np.array([0, pixels.shape[1]]),
            bands,
            dtype,
            Colours(
                top=2**bits - 1,
                opacity=bands - 1 if bands in _WITH_ALPHA and not fluorescence else None,
                stains=fluorescence,
            ),
        )

    def decode(self, row: int, column: int) -> np.ndarray:
        """Return one block: (height, width, bands)."""
        return self._pixels[int(self.rows[row]) : int(self.rows[row + 1])]


def open_other_jpeg2000(path: Path, fluorescence: bool) -> Jpeg2000Image | None:
    """Open a JPEG 2000 of other than 8 bits; ``None`` for another, and for other formats.

    Raises
    ------
    ImageError
        If it cannot be decoded, or is no picture; also one of 8 bits, if values have signs, which
        Pillow shifts into a range of their own.
    """
    header = jpeg2000_header(path)
    if header is not None and header.signed:
        raise unsupported(path, "values with signs")
    if header is None or set(header.depths) <= {_EIGHT_BITS - 1} or _PALETTE in header.boxes:
        return None
    return Jpeg2000Image(path, header, fluorescence)


def _check_colours(path: Path, header: Jpeg2000Header) -> None:
    """Refuse what is neither grey nor red, green and blue, with an opacity or without."""
    if len(header.depths) > _MOST_BANDS:
        raise unclear(path, f"{len(header.depths)} channels and does not say which are colours")
    at = header.boxes.find(b"colr")
    if at < 0 or header.boxes[at + 4] != 1:  # by a profile, or of the kind that bands suggest
        return
    kind = int.from_bytes(header.boxes[at + 7 : at + 11], "big")
    if kind == _CMYK:
        raise inks(path)
    if kind not in _COLOURS:
        raise unsupported(path, f"colours of kind {kind} (box colr) in {header.bits} bits")
