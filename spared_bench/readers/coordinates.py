"""Coordinates of spots as people give them: pairs of numbers, in an array, a table or a file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spared_bench.data import SPATIAL
from spared_bench.errors import CoordinateError, CountsError

if TYPE_CHECKING:
    from anndata import AnnData

#: What names of columns differ in where y comes before x; "at" is what lat has and long has not.
_Y_FIRST = {("y", "x"), ("r", "c"), ("height", "width"), ("at", "on"), ("at", "ong"), ("2", "1"),
            ("atitude", "ongitude"), ("1", "0")}  # fmt: skip
#: Units of length in names of columns, in small letters.
_LENGTHS = {"um", "\u03bcm", "micron", "microns", "micrometer", "micrometers", "micrometre",
            "micrometres", "mm", "nm"}  # fmt: skip
#: Columns of ``obs`` in which others keep x and y, in small letters.
_IN_OBS = (
    ("pxl_col_in_fullres", "pxl_row_in_fullres"), ("pixel_x", "pixel_y"), ("imagecol", "imagerow"),
    ("x_centroid", "y_centroid"), ("x_pixel", "y_pixel"), ("x", "y"),
)  # fmt: skip
#: Up to here, a float of 16 bits tells every pixel; above, every second, fourth, eighth one.
_HALF_EXACT = 2_048


def centres_of(adata: AnnData, path: Path) -> np.ndarray:
    """Return the centres of the spots, (n_spots, 2), float64."""
    if SPATIAL not in adata.obsm or np.shape(adata.obsm[SPATIAL])[1:] != (2,):
        shape = f", 'spatial' of shape {adata.obsm[SPATIAL].shape}" if SPATIAL in adata.obsm else ""
        raise CoordinateError(
            f"There are no spot coordinates in {path}: obsm['spatial'] must be (n_spots, 2), x and"
            f" y in full-resolution pixels; found obsm keys {sorted(adata.obsm.keys())}{shape}."
            f" {_maybe_there(adata)}".rstrip()
        )
    if not adata.n_obs:
        raise CountsError(f"{path} holds no spots. Check which rows were kept when it was written.")
    given = x_first(adata.obsm[SPATIAL])
    require_exact(np.asarray(given), f"obsm['spatial'] of {path}")
    centres = numbers(given)
    if not np.isfinite(centres).all():
        raise CoordinateError(
            f"obsm['spatial'] of {path} holds nan or infinite coordinates, or no numbers, for"
            f" {int((~np.isfinite(centres)).any(axis=1).sum())} of {adata.n_obs} spots. Remove"
            " these spots, or correct them."
        )
    return centres


def _maybe_there(adata: AnnData) -> str:
    """Say where coordinates may be that are not in their place; empty where nothing is like it."""
    for name in (SPATIAL, *adata.obsm):
        sides = np.shape(adata.obsm.get(name, ()))[1:]
        if SPATIAL in str(name).casefold() and sides in ((2,), (3,)):
            part = "" if sides == (2,) else ", of which the first two may be x and y"
            taken = f"adata.obsm[{str(name)!r}]{'' if sides == (2,) else '[:, :2]'}"
            return (
                f"There is obsm[{str(name)!r}]{part}: if it is that, write the file again after"
                f" `adata.obsm['spatial'] = {taken}`."
            )
    known = {str(name).casefold(): str(name) for name in adata.obs}
    for x, y in _IN_OBS:
        if x in known and y in known:
            pair = f"{known[x]!r}, {known[y]!r}"
            return (
                f"There are obs columns {pair}: if these are x and y, write the file again after"
                f" `adata.obsm['spatial'] = adata.obs[[{pair}]].to_numpy()`."
            )
    return ""


def x_first(coordinates: Any) -> Any:
    """Return coordinates, dense, x before y where names of their columns say which is which."""
    if hasattr(coordinates, "toarray"):  # a sparse matrix, as some converters make of any
        return coordinates.toarray()
    names = [str(name).casefold() for name in getattr(coordinates, "columns", ())]
    if len(names) != 2:
        return coordinates
    words = [re.split(r"[\W_\d]+", name) for name in names]  # y_px, pixel.y, y_centroid
    first, second = names
    if unit := next((word for word in words[0] + words[1] if word in _LENGTHS), ""):
        raise CoordinateError(
            f"Columns of coordinates that are called {first!r} and {second!r} are in {unit};"
            " expected pixels of the image. Divide them by the micrometres of a pixel, and call"
            " them x and y."
        )
    is_turned = ("y" in words[0] and "x" in words[1]) or ("row" in first and "col" in second)
    # What two names differ in: posY and posX, spatial2 and spatial1.
    while first and second and first[0] == second[0]:
        first, second = first[1:], second[1:]
    while first and second and first[-1] == second[-1]:
        first, second = first[:-1], second[:-1]
    is_turned |= (first, second) in _Y_FIRST
    return coordinates.iloc[:, ::-1] if is_turned else coordinates


def numbers(values: Any) -> np.ndarray:
    """Return values as float64, nan where they are no numbers."""
    import pandas as pd

    flat = pd.to_numeric(pd.Series(np.ravel(np.asarray(values))), errors="coerce")
    return flat.to_numpy(dtype=np.float64, na_value=np.nan).reshape(np.shape(values))


def number(value: Any) -> float:
    """Return a single value, in however many brackets, as float64; nan where it is no number."""
    single = np.ravel(np.asarray(value))
    if single.size != 1 or single.dtype.kind == "b":  # a truth is none
        return np.nan
    return float(numbers(single)[0])


def require_exact(values: Any, what: str) -> None:
    """Refuse coordinates in so few bits that spots are moved by pixels.

    Raises
    ------
    CoordinateError
    """
    if getattr(values, "dtype", None) != np.float16:
        return
    if (largest := float(np.nanmax(np.abs(values), initial=0))) > _HALF_EXACT:
        raise CoordinateError(
            f"{what} holds floats of 16 bits, up to {largest:g}, which beyond {_HALF_EXACT} tell no"
            " single pixels any more. Take the coordinates as they were before they were converted."
        )
