"""What the channels of an image are called: red, green and blue, nothing, or stains.

An image of three channels is taken for red, green and blue, in this order, where nothing is said of
them. Where they are said to be others (DAPI, CD45, PanCK), it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

from spared_bench.errors import ImageError

_RGBA = ("red", "green", "blue", "alpha")
_COLOUR_OF = {"r": "red", "g": "green", "b": "blue", "a": "alpha", "opacity": "alpha"}
_COLOUR_OF |= {name: name for name in _RGBA}
#: Words that say nothing of what a channel shows.
_PLAIN = {
    "band", "brightfield", "bf", "c", "ch", "channel", "color", "colour", "field", "gray",
    "grey", "he", "image", "img", "light", "of", "page", "plane", "rgb", "sample",
    "slice", "tl", "transmitted", "bright", "unnamed", "none", "nan",
}  # fmt: skip
#: Of which a single channel is no picture in grey.
_STAINS = re.compile(
    r"dapi|hoechst|fitc|tritc|cy[ -]?[357]|[egr]fp|mcherry|alexa|af[ -]?\d{3}|fluor|draq|texas ?red"
    r"|opal|cd\d|panck|keratin",
    re.IGNORECASE,
)
_BRIGHT = re.compile(r"h ?& ?e|ha?ematoxylin (and|&) eosin", re.IGNORECASE)
_OF_A_FILE = re.compile(r"c:(\d+)/\d+.*", re.IGNORECASE | re.DOTALL)  # of Bio-Formats in ImageJ


def is_stain(name: str) -> bool:
    """Return whether a name is that of a stain of fluorescence."""
    return bool(_STAINS.search(name))


def order_of(names: Sequence[str], where: str) -> list[int]:
    """Return where red, green and blue stand among channels; their own order where unnamed.

    Parameters
    ----------
    names : sequence of str
        Of all channels, one to four; empty where there is none.
    where : str
        What holds them, for the message.

    Returns
    -------
    list of int
        As long as ``names``; an opacity comes last.

    Raises
    ------
    ImageError
        If they are named as something else than colours.
    """
    own = list(range(len(names)))
    meanings = [_meaning(name) for name in names]
    if len(names) == 1:
        if _STAINS.search(names[0]):
            raise _no_colours(names, where)
        return own
    if not any(meanings):
        return own
    colours = list(_RGBA[: len(names)])
    if sorted(meanings) == sorted(colours):
        return [meanings.index(colour) for colour in colours]
    numbers = [int(found) if found.isdecimal() else -1 for found in meanings]
    first = min(numbers)
    if first in (0, 1) and sorted(numbers) == [first + at for at in own]:
        return [numbers.index(first + at) for at in own]
    raise _no_colours(names, where)


def names_opacity(names: Sequence[str]) -> bool:
    """Return whether the last of four channels is called an opacity, beside red, green and blue."""
    return sorted(map(_meaning, names)) == sorted(_RGBA)


def _meaning(name: str) -> str:
    """Return the colour or number that a name stands for; empty for none, itself for another."""
    if file := _OF_A_FILE.fullmatch(name.strip()):
        return file[1]
    words = re.findall(r"[a-z]+|\d+", _BRIGHT.sub("he", name).casefold())
    colours = [_COLOUR_OF[word] for word in words if word in _COLOUR_OF]
    others = [word for word in words if word not in _COLOUR_OF and not word.isdecimal()]
    if set(others) - _PLAIN or len(colours) > 1 or (name.strip() and not words):
        return name
    if colours:
        return colours[0]
    numbers = [word for word in words if word.isdecimal()]
    return str(int(numbers[-1])) if numbers else ""  # Channel:0:2


def _no_colours(names: Sequence[str], where: str) -> ImageError:
    called = ", ".join(name.strip() or "(no name)" for name in names)
    return ImageError(
        f"The channels of {where} are called {called}; expected red, green and blue, or no names."
        " Stains of a fluorescence image are not looked at here: give the H&E image. If these are"
        " its colours, save it as one RGB image."
    )


def names_in(tiff: Any, n_planes: int) -> list[str]:
    """Return the names of the planes of a TIFF, empty where it has none.

    Parameters
    ----------
    tiff : tifffile.TiffFile
    n_planes : int
        Pages of its first image, each of one channel.
    """
    if tiff.is_ome:
        found = _names_of_ome(tiff.ome_metadata)
    elif tiff.is_imagej:
        found = _names_of_imagej(tiff.imagej_metadata or {})
    elif getattr(tiff, "is_qpi", False):
        pages = tiff.series[0].pages[:n_planes]
        found = [_name_of_qptiff(page.aspage().description) for page in pages]
    else:
        found = []
    return found if len(found) == n_planes else [""] * n_planes


def _names_of_ome(text: str) -> list[str]:
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return []
    pixels = next((each for each in root.iter() if each.tag.endswith("}Pixels")), root)
    return [_name_of_ome(each) for each in pixels if each.tag.endswith("}Channel")]


def _name_of_ome(channel: Any) -> str:
    """Return what one channel is called, else the stain or the colour that it is said to be."""
    stain = channel.get("Fluor", "")
    if not stain and channel.get("ContrastMethod") == "Fluorescence":
        stain = "fluorescence"
    if stain:
        return f"{channel.get('Name', '')} {stain}".strip()
    number = re.fullmatch(r"-?\d+", channel.get("Color", ""))
    return _or_colour(channel.get("Name", ""), int(number[0]) >> 8 if number else 0)


def _or_colour(name: str, rgb: int) -> str:
    """Return a name, or the colour in which the channel is shown where the name says nothing."""
    says = _meaning(name)
    if says and not says.isdecimal():
        return name
    shown = rgb & 0xFFFFFF
    if shown >> 16 == shown >> 8 & 0xFF == shown & 0xFF:  # white, grey and black say nothing
        return name
    return {0xFF0000: "red", 0x00FF00: "green", 0x0000FF: "blue"}.get(shown, f"#{shown:06X}")


def _names_of_imagej(told: dict[str, Any]) -> list[str]:
    """Return labels, else the colours of the tables by which the channels are shown."""
    n_channels = int(told.get("channels", 0) or 0)
    labels, tables = (_listed(told.get(key)) for key in ("Labels", "LUTs"))
    names = [str(label) for label in labels] if len(labels) == n_channels else [""] * n_channels
    if len(tables) != n_channels:
        return names
    brightest = [[int(band[-1]) for band in table] for table in tables]
    shown = [red << 16 | green << 8 | blue for red, green, blue in brightest]
    return [_or_colour(name, rgb) for name, rgb in zip(names, shown, strict=True)]


def _listed(found: Any) -> list[Any]:
    return list(found) if isinstance(found, (list, tuple)) else [] if found is None else [found]


def _name_of_qptiff(text: str) -> str:
    """Return the marker of a page of Akoya's; only images of fluorescence have such pages."""
    found = (re.search(rf"<{tag}>([^<]+)</{tag}>", text) for tag in ("Biomarker", "Name"))
    return next((match[1] for match in found if match), "fluorescence")
