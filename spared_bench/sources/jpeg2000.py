"""JPEG 2000 of which the last band would be taken for an opacity, or whose values have signs.

Pillow shows two bands as grey and opacity, and four as colours and opacity, whatever the file says
of them (ISO/IEC 15444-1, box ``cdef``); and it shifts values with signs into a range of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from spared_bench.errors import ImageError
from spared_bench.words import counted

_CODESTREAM = b"\xff\x4f\xff\x51"
_FILE = b"\0\0\0\x0cjP  \r\n\x87\n"
_WITH_ALPHA = (2, 4)  # bands
_OPACITIES = (1, 2)  # types of a channel: opacity, and one that the colours are multiplied by
_HEADER_BYTES = 1 << 20


def check_bands(path: Path) -> None:
    """Refuse a JPEG 2000 that does not say that its last band is an opacity, or has signs.

    Parameters
    ----------
    path : Path
        Any image; of another format, nothing is said.

    Raises
    ------
    ImageError
    """
    with path.open("rb") as file:
        start = file.read(_HEADER_BYTES)
    at = start.find(_CODESTREAM)
    if at < 0 or not start.startswith((_CODESTREAM, _FILE)):
        return
    # SIZ: marker, length, capabilities, eight lengths of 4 bytes; then the bands, 3 bytes each.
    n_bands = int.from_bytes(start[at + 40 : at + 42], "big")
    depths = start[at + 42 : at + 42 + 3 * n_bands : 3]
    if any(depth & 0x80 for depth in depths):
        raise ImageError(
            f"The image {path} holds values with signs; expected 8 or 16 bits from 0 on. Convert it"
            " to an 8-bit RGB TIFF, PNG or JPEG."
        )
    if n_bands in _WITH_ALPHA and not any(kind in _OPACITIES for kind in _kinds(start[:at])):
        raise ImageError(
            f"The image {path} has {counted(n_bands, 'band')} and does not say that the last one is"
            " an opacity, and it may be a stain. Save it with red, green and blue only, as TIFF,"
            " PNG or JPEG."
        )


def _kinds(boxes: bytes) -> Iterator[int]:
    """Yield the type of each channel that the box of definitions describes."""
    at = boxes.find(b"cdef")
    if at < 0:
        return
    n_channels = int.from_bytes(boxes[at + 4 : at + 6], "big")
    for place in range(at + 6, at + 6 + 6 * n_channels, 6):
        yield int.from_bytes(boxes[place + 2 : place + 4], "big")
