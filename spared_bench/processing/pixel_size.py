"""What a TIFF says of the size of its pixels, beside what is said of it elsewhere.

By OME-XML, Aperio's description, ImageJ's unit, or a resolution per inch or centimetre, as scanners
of Hamamatsu, Leica and Akoya write it. It is compared, and never used: who resizes an image keeps
such words as they were.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

_RESOLUTION, _UNIT = 282, 296
_UM_OF = {2: 25_400.0, 3: 10_000.0}  # an inch, a centimetre: the units of TIFF
_UM_OF_NAME = {
    "nm": 1e-3, "um": 1.0, "micron": 1.0, "microns": 1.0, "micrometer": 1.0, "micrometre": 1.0,
    "mm": 1e3, "cm": 1e4, "centimeter": 1e4, "m": 1e6, "inch": 25_400.0, "in": 25_400.0,
}  # fmt: skip
_APERIO = re.compile(r"\bMPP\s*=\s*([0-9]+[.,]?[0-9]*)")  # with the comma of some countries
#: In micrometres; 72 to 1,200 per inch are of a screen or a printer, and said by programs.
_OF_MICROSCOPES = 0.05, 15.0
_SLACK = 0.25


def said_um_per_px(path: Path) -> float:
    """Return the micrometres of a pixel as an image says them itself; 0 where it says none."""
    import tifffile

    from spared_bench.processing.tiff_image import is_tiff

    try:
        if not is_tiff(path):
            return 0.0
        with tifffile.TiffFile(path) as tiff:
            found = _of_tiff(tiff)
    except Exception:  # of a file that may hold anything; whether it can be read is told elsewhere
        return 0.0
    return found if _OF_MICROSCOPES[0] <= found <= _OF_MICROSCOPES[1] else 0.0


def other_size(path: Path, um_per_px: float) -> list[str]:
    """Return a sentence on an image that says that its pixels are of another size.

    Parameters
    ----------
    path : Path
    um_per_px : float
        Of a pixel of this image; 0 is unknown, and nothing is compared.
    """
    said = said_um_per_px(path) if um_per_px else 0.0
    if not said or 1 - _SLACK < um_per_px / said < 1 + _SLACK:
        return []
    return [
        f"The image {path.name} says of itself that a pixel measures {said:.4g} um, and by all else"
        f" that is told it measures {um_per_px:.4g} um. If it was not resized since it was scanned,"
        " one of the two is wrong, or it is the image of another slide."
    ]


def _of_tiff(tiff: Any) -> float:
    page = tiff.series[0].keyframe.aspage()
    if tiff.is_ome and "PhysicalSizeX" in tiff.ome_metadata:
        elements = ElementTree.fromstring(tiff.ome_metadata).iter()
        pixels = next(each for each in elements if "PhysicalSizeX" in each.attrib)
        um = _um_of(pixels.get("PhysicalSizeXUnit", "um"))
        return um * float(pixels.attrib["PhysicalSizeX"])
    if aperio := _APERIO.search(page.description):
        return float(aperio[1].replace(",", "."))
    unit = _UM_OF.get(int(page.tags[_UNIT].value), math.nan) if _UNIT in page.tags else _UM_OF[2]
    if tiff.is_imagej and (name := (tiff.imagej_metadata or {}).get("unit")):
        unit = _um_of(str(name))
    numerator, denominator = page.tags[_RESOLUTION].value
    return unit * denominator / numerator


def _um_of(name: str) -> float:
    """Return the micrometres of a unit; nan of one that is no length."""
    plain = re.sub(r"\\u00b5|[µμ]", "u", name.strip().casefold())
    return _UM_OF_NAME.get(plain, math.nan)
