"""Which pages and samples of a TIFF are its colours, and what their values mean.

By what the file describes: its axes (OME, ImageJ and others, as tifffile reads them), photometric
interpretation, ExtraSamples, and the largest value (MaxSampleValue, SignificantBits of OME). What
it leaves open is refused; only pages of fluorescence images are stains without a description.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

import numpy as np

from spared_bench.errors import ImageError
from spared_bench.processing.aperio import YCBCR_JPEG2000
from spared_bench.processing.channels import names_in, order_of
from spared_bench.processing.colours import Colours
from spared_bench.processing.image_errors import inks, unclear, unsupported

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _SEPARATED, _YCBCR = 0, 1, 2, 3, 5, 6
_JPEGS = (6, 7)
_BITS_PER_SAMPLE, _PHOTOMETRIC = 258, 262
_ASSOCIATED, _UNASSOCIATED = 1, 2
_MAX_SAMPLE_VALUE = 281
_DESCRIPTION, _XMP = 270, 700
#: Of one tile with the next in Ventana's XML, or of each level in Trestle's description.
_OVERLAP = re.compile(rb"Overlap(?:sXY|X|Y)\s*=[\s\"']*-?[\d \t]*[1-9]")
_COLOURS, _EIGHT_BITS = 3, 255
_ENDS: dict[str, Literal["little", "big"]] = {"<": "little", ">": "big"}


def planes_of(tiff: Any, path: Path, fluorescence: bool) -> list[Any]:
    """Return the pages that make the image: one, or one for each colour or stain, in order.

    Parameters
    ----------
    tiff : tifffile.TiffFile
        Of which the first image is meant, at its full resolution.

    Raises
    ------
    ImageError
        If it holds several images, or its channels are not described as colours, or as others.
    """
    series = tiff.series[0]
    _check_apart(series.keyframe.aspage(), path)
    extent: dict[str, int] = {}
    for axis, n in zip(series.axes, series.shape, strict=True):
        extent[axis] = extent.get(axis, 1) * n  # unnamed axes have one letter
    first = series.keyframe
    if first.samplesperpixel == 1:
        _check_chain(tiff, path)
        if not fluorescence:
            _check_all_told(tiff, path)
    if first.samplesperpixel == 1 and "S" in extent:  # samples that are pages
        extent["C"] = extent.get("C", 1) * extent.pop("S")
    across = {axis: n for axis, n in extent.items() if axis not in "YXS" and n > 1}
    planes = math.prod(across.values())
    if fluorescence and len(across) > 1 and across.keys() - {"C"}:
        across.pop("C", None)
        raise unclear(path, f"{planes} planes, which are not channels only ({_told(across)})")
    if not fluorescence and across.keys() - {"C"}:
        raise unclear(path, f"{planes} pages ({_told(across)}) and does not say which is the image")
    if not fluorescence and planes > 1 and (planes != _COLOURS or first.samplesperpixel > 1):
        each = f" of {first.samplesperpixel} samples each" if first.samplesperpixel > 1 else ""
        told = f"{planes} pages{each} for its channels; expected 3: red, green and blue"
        raise unclear(path, told)
    pages = list(series.pages)
    there = [page for page in pages if page is not None]
    if len(pages) < planes or len(there) < len(pages):
        raise unclear(path, f"{planes} planes, but pages for {len(there)}")
    if elsewhere := sorted({page.parent.filename for page in there} - {tiff.filename}):
        raise unclear(path, f"planes that lie in other files ({', '.join(elsewhere)})")
    pages = [page.aspage() for page in pages[: max(planes, 1)]]
    return pages if fluorescence else _in_order(tiff, pages, path)


def _check_apart(page: Any, path: Path) -> None:
    """Refuse tiles that overlap, which would lie side by side: the farther right, the more off."""
    told = (page.tags.get(tag) for tag in (_DESCRIPTION, _XMP))
    texts = [tag.value for tag in told if tag is not None]
    if any(
        _OVERLAP.search(text if isinstance(text, bytes) else str(text).encode()) for text in texts
    ):
        raise unclear(
            path,
            "tiles that overlap each other, as some scanners write them (BIF of Ventana, Trestle),"
            " and are not put together here",
        )


def _check_chain(tiff: Any, path: Path) -> None:
    """Refuse a file of which pages are missing: those left would be read as an image in grey."""
    if tiff.is_ndpi or tiff.is_lsm:  # whose places of pages are not those of TIFF
        return
    last, form = tiff.pages[len(tiff.pages) - 1], tiff.tiff
    with tiff.filehandle.lock:
        tiff.filehandle.seek(last.offset)
        n_tags = int.from_bytes(tiff.filehandle.read(form.tagnosize), _ENDS[tiff.byteorder])
        tiff.filehandle.seek(last.offset + form.tagnosize + n_tags * form.tagsize)
        following = int.from_bytes(tiff.filehandle.read(form.offsetsize), _ENDS[tiff.byteorder])
    if following:
        raise ImageError(
            f"The image {path} ({tiff.filehandle.size:,} bytes) says that another page follows at"
            f" byte {following:,}, and none can be read there, so the file is cut short or damaged,"
            " and channels may be missing. Fetch it again."
        )


def _check_all_told(tiff: Any, path: Path) -> None:
    """Refuse a page in grey that may be one channel of an image whose others are not told of."""
    series = tiff.series[0]
    if tiff.is_ome and "BinaryOnly" in tiff.ome_metadata:
        raise unclear(path, "one channel, and its description, which may tell of more, elsewhere")
    told = int((tiff.imagej_metadata or {}).get("images", 1)) if tiff.is_imagej else 1
    if series.kind != "imagej" and told > len(tiff.pages):
        raise ImageError(
            f"The image {path} ({tiff.filehandle.size:,} bytes) holds {len(tiff.pages)} of the"
            f" {told} images of which its description tells: it is cut short. Fetch it again."
        )
    if series.kind != "ome":
        return
    alike = sum(each.aspage().shape == series.keyframe.shape for each in tiff.pages)
    if alike > (known := len([page for page in series.pages if page is not None])):
        raise unclear(path, f"{alike} pages of its size, and a description of {known}")


def _in_order(tiff: Any, pages: list[Any], path: Path) -> list[Any]:
    """Return pages as red, green and blue, where their channels have names; refuse stains."""
    n_channels = len(pages) * pages[0].samplesperpixel
    if n_channels not in (1, _COLOURS):
        return pages
    names = names_in(tiff, n_channels)
    order = order_of(names, f"the image {path}")
    if order == sorted(order):
        return pages
    if len(pages) == 1:
        raise unclear(path, f"its channels in the order {', '.join(names)}")
    return [pages[place] for place in order]


def colours_of(tiff: Any, pages: list[Any], path: Path, fluorescence: bool) -> Colours:
    """Return what the bands of the image mean.

    Raises
    ------
    ImageError
        If its pixels are no colours of 8 or 16 bits, or not described.
    """
    page = pages[0]
    bands = page.samplesperpixel * len(pages)
    bits = page.bitspersample
    if not isinstance(bits, int):
        raise unsupported(path, f"channels of {', '.join(map(str, bits))} bits")
    sixteen = 0 < bits <= 16 and page.dtype is not None
    if not sixteen or page.dtype.kind not in "ub":
        raise unsupported(path, f"pixels of type {page.dtype}")
    if fluorescence:
        return Colours(top=np.iinfo(page.dtype).max if bits > 8 else 2**bits - 1, stains=True)
    photometric = _kind(page, bands, path)
    if photometric == _PALETTE:
        palette = _palette(page, path)
        return Colours(top=len(palette) - 1, stated=True, palette=palette)
    decoded = (*_JPEGS, YCBCR_JPEG2000)  # as red, green and blue
    coded = photometric == _YCBCR and page.compression in decoded and page.planarconfig == 1
    if photometric == _SEPARATED:
        raise inks(path)
    if photometric not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB) and not coded:
        name = getattr(page.photometric, "name", photometric)
        codec = getattr(page.compression, "name", page.compression)
        raise unsupported(path, f"colours of kind {name} (compression {codec})")
    base = _COLOURS if photometric in (_RGB, _YCBCR) or bands == _COLOURS else 1
    opacity, premultiplied = _opacity(page, base) if len(pages) == 1 else (None, False)
    if base == 1 and bands > 1 and opacity is None:
        raise unclear(path, f"{bands} channels and does not say which are red, green and blue")
    if bands < base:
        raise unsupported(path, f"{bands} of the {base} channels that its colours need")
    used = [*range(base), *([] if opacity is None else [opacity])]
    top, stated = _largest(tiff, page, bits, used, path)
    notes = []
    if bands > base + (opacity is not None):
        extra = bands - base - (opacity is not None)
        notes.append(f"Bands of the image that are neither colour nor opacity, left out: {extra}.")
    if stated and top < 2**bits - 1:
        notes.append(f"Values of the image are scaled by 255 / {top}, as the file says.")
    return Colours(
        top=top,
        stated=stated,
        opacity=opacity,
        premultiplied=premultiplied,
        inverted=photometric == _WHITE_IS_ZERO,
        notes=tuple(notes),
    )


def _kind(page: Any, bands: int, path: Path) -> int:
    """Return the photometric interpretation; a file that says none of it, and more, is refused."""
    if _BITS_PER_SAMPLE not in page.tags and bands > 1:  # of one, its default is meant: 1 bit
        raise unclear(path, "no tag BitsPerSample (258), so that its values are not known")
    found = int(page.photometric)
    if _PHOTOMETRIC not in page.tags:
        if bands < _COLOURS:
            raise unclear(
                path,
                "no tag PhotometricInterpretation (262), and does not say whether 0 is black or"
                " white",
            )
        return _RGB  # as libtiff takes it
    if found == _WHITE_IS_ZERO and bands >= _COLOURS:
        raise unclear(path, f"{bands} channels, in which 0 is white, and they are no colours so")
    return found


def _palette(page: Any, path: Path) -> np.ndarray:
    """Return the colour of each value: (n_values, 3), uint8."""
    if page.colormap is None:
        raise unclear(path, "colours from a table (ColorMap, tag 320) that it does not hold")
    table = np.asarray(page.colormap).T
    # Of 16 bits, of which libtiff's tools take the upper eight, too, and eight where no value has
    # more, as old programs write them.
    return (table if table.max() <= _EIGHT_BITS else table >> 8).astype(np.uint8)


def _told(axes: dict[str, int]) -> str:
    """Name axes by the words that tifffile's letters stand for."""
    words = {"Z": "in z", "T": "in time", "C": "channels", "I": "pages", "Q": "unnamed"}
    return ", ".join(f"{n} {words.get(axis, 'along ' + axis)}" for axis, n in axes.items())


def _opacity(page: Any, base: int) -> tuple[int | None, bool]:
    for number, kind in enumerate(page.extrasamples):
        if kind in (_ASSOCIATED, _UNASSOCIATED) and base + number < page.samplesperpixel:
            return base + number, kind == _ASSOCIATED
    return None, False


def _largest(
    tiff: Any, page: Any, bits: int, bands: Collection[int], path: Path
) -> tuple[int, bool]:
    """Return the value of full intensity, and whether the file says more than its type does."""
    most = 2**bits - 1
    if bits <= 8:
        return most, bits != 8
    told = page.tags.get(_MAX_SAMPLE_VALUE)
    if told is not None:
        # The tag may hold the largest value found: 3,871 is of 12 bits as well.
        n_bits = [max(8, int(value).bit_length()) for value in np.atleast_1d(told.value)]
        each = [min(2**n - 1, most) for n in n_bits]
        tops = {each[band] for band in bands if band < len(each)} or {max(each)}
        if len(tops) > 1:
            raise unclear(path, f"samples of unlike range (MaxSampleValue {told.value})")
        if np.max(told.value) > 0:
            return tops.pop(), True
    significant = _significant_bits(tiff)
    if 8 <= significant < bits:  # many writers put the size of the type here, which says nothing
        return 2**significant - 1, True
    return most, False


def _significant_bits(tiff: Any) -> int:
    if not tiff.is_ome:
        return 0
    try:
        root = ElementTree.fromstring(tiff.ome_metadata)
        pixels = next(element for element in root.iter() if element.tag.endswith("}Pixels"))
        return int(pixels.get("SignificantBits", 0))
    except (ElementTree.ParseError, StopIteration, ValueError):
        return 0
