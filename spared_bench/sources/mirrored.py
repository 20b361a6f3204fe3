"""Spots of Visium whose coordinates mirror the array, as where x and y are exchanged.

An image may be turned, and the places in the array then lie turned on it. Mirrored they lie only
where the image itself was mirrored: columns run to the right, and rows downwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spared_bench.data import SPATIAL
from spared_bench.errors import CoordinateError

if TYPE_CHECKING:
    from anndata import AnnData


def mirrored(slide: AnnData) -> list[str]:
    """Return a sentence where coordinates mirror the array of Visium; else nothing.

    Of other arrays it is not known which of their numbers counts rows.

    Parameters
    ----------
    slide : AnnData
        A raw slide.
    """
    from spared_bench.readers.lattice import lattice_kind, lattice_steps

    array = slide.obs[["array_col", "array_row"]].to_numpy()
    pixels = np.asarray(slide.obsm[SPATIAL], dtype=np.float64)
    try:
        steps = lattice_steps(array, pixels)
    except CoordinateError:  # too few spots to tell
        return []
    if lattice_kind(array, pixels, steps) != "hexagonal":
        return []
    design = np.column_stack([np.asarray(array, np.float64), np.ones(len(array))])
    to_pixels = np.linalg.lstsq(design, pixels, rcond=None)[0][:2]
    if np.linalg.det(to_pixels) > 0:
        return []
    return [
        "Its coordinates are a mirror image of its places in the array (array_row, array_col): x"
        " and y are exchanged, or one of them runs backwards, unless the image was mirrored."
        " Compare spots and tissue on the page of `data show`."
    ]
