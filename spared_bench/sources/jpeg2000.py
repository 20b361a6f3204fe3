"""JPEG 2000 of which the last band would be taken for an opacity.

Pillow shows two bands as grey and opacity, and four as colours and opacity, whatever the file says
of them (ISO/IEC 15444-1, box ``cdef``).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from spared_bench.errors import ImageError
from spared_bench.processing.jpeg2000_image import jpeg2000_header
from spared_bench.words import counted

_WITH_ALPHA = (2, 4)  # bands
_OPACITIES = (1, 2)  # types of a channel: opacity, and one that the colours are multiplied by


def check_bands(path: Path) -> None:
    """Refuse a JPEG 2000 that does not say that its last band is an opacity.

    Parameters
    ----------
    path : Path
        Any image; of another format, nothing is said.

    Raises
    ------
    ImageError
    """
    header = jpeg2000_header(path)
    if header is None:
        return
    n_bands = len(header.depths)
    if n_bands in _WITH_ALPHA and not any(kind in _OPACITIES for kind in _kinds(header.boxes)):
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
