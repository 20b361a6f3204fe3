"""The scale of a square grid in Space Ranger's layout, whose pitch no technology tells."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from spared_bench.readers.scale import agreed, check_overlap, check_um_per_px


def scale_of_grid(
    factors: Mapping[str, float], given: float, nearest: float, where: Path
) -> tuple[float, list[str]]:
    """Return the um per pixel, 0 where nothing tells it, and a sentence to be recorded.

    Parameters
    ----------
    factors : mapping of str to float
        Space Ranger's, of which ``microns_per_pixel`` is taken.
    given : float
        What the description says; 0: nothing.
    nearest : float
        From a spot to the next, in full-resolution pixels.
    where : Path

    Raises
    ------
    CoordinateError, ContractError
        If spots overlap or are specks, or sizes contradict each other.
    """
    diameter, told_there = factors["spot_diameter_fullres"], factors.get("microns_per_pixel", 0.0)
    check_overlap(diameter, nearest, where, "'spot_diameter_fullres'")
    told = {"`um_per_px`": given, f"'microns_per_pixel' of {where}": told_there}
    found = agreed(told)
    check_um_per_px(found, diameter, 0.0, where)
    how = "unknown: write `um_per_px: ...` in the slide's entry"
    if found:
        how = "as given" if given else "as its scale factors say"
    return found, [
        f"The spots lie on a square grid, which is not Visium's, {nearest:.4g} px apart; the size"
        f" of a pixel is {how}."
    ]
