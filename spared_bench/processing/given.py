"""Patches that come with a slide, in place of its image: HEST's, cut by others around each spot.

A narrower window is the middle of a patch; a wider one cannot be had without the image.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spared_bench.data.views import View
from spared_bench.errors import ImageError, ViewError
from spared_bench.processing.cutting import resize

if TYPE_CHECKING:
    from anndata import AnnData

#: Of ``uns["slide"]``: the HDF5 file with ``img`` (n_spots, side, side, 3) in the order of the
#: slide's spots, after ``GIVEN_ROWS``, and the side of a patch in micrometres.
GIVEN, GIVEN_ROWS, GIVEN_UM = "patches_path", "patches_rows", "patches_um"
_CHUNK = 512
#: By how much a window may be wider than a patch: what whole pixels of a slide make of it.
_SLACK = 1.02


def has_given(facts: Mapping[str, Any]) -> bool:
    """Return whether a raw slide brings patches (``uns["slide"]``)."""
    return bool(facts.get(GIVEN))


def check_given(view: View, facts: Mapping[str, Any]) -> None:
    """Refuse a view that the patches of a slide do not hold.

    Raises
    ------
    ViewError
    """
    if view.grid or view.tiles > 1:
        raise ViewError(
            f"{view.in_words} need the image of the slide, and it has only the patches of its"
            " spots. Add the image, or declare one window per spot"
        )
    side = window_um(view, facts)
    if side > float(facts[GIVEN_UM]) * _SLACK:
        raise ViewError(
            f"a window of {side:.0f} µm is asked for, and the slide has patches of"
            f" {float(facts[GIVEN_UM]):.0f} µm and no image. Add the image, or declare a narrower"
            " window"
        )


def window_um(view: View, facts: Mapping[str, Any]) -> float:
    """Return the side of a window in micrometres."""
    return view.um or view.side_px(facts) * float(facts["um_per_px"])


def write_given(slide: AnnData, view: View, antialias: bool, out: Path) -> None:
    """Write a window of every spot from the patches of a slide, as ``cut_patches`` does.

    Parameters
    ----------
    slide : AnnData
    view : View
        One window per spot.
    antialias : bool
        Whether a reduction averages, or only interpolates, as for windows of an image.
    out : Path
        The ``.npy`` file: (n_spots, size, size, 3), uint8; it appears only when complete.

    Raises
    ------
    ViewError
        If the window is wider than the patches.
    ImageError
        If the file of patches cannot be read.
    """
    import h5py

    facts = slide.uns["slide"]
    check_given(view, facts)
    rows = np.asarray(facts[GIVEN_ROWS], dtype=np.int64)
    part = out.with_suffix(".part")
    shape = (len(rows), view.size, view.size, 3)
    stored = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)
    try:
        with h5py.File(facts[GIVEN], "r") as file:
            images = file["img"]
            share = min(1.0, window_um(view, facts) / float(facts[GIVEN_UM]))
            for start in range(0, len(rows), _CHUNK):
                here = rows[start : start + _CHUNK]
                order = np.argsort(here)
                read = np.empty((len(here), *images.shape[1:]), dtype=np.uint8)
                read[order] = images[here[order]]
                stored[start : start + len(here)] = _framed(read, share, view.size, antialias)
    except (OSError, KeyError) as error:
        raise ImageError(
            f"The patches {facts[GIVEN]} cannot be read: {' '.join(str(error).split())}. Fetch the"
            " file again."
        ) from error
    stored.flush()
    del stored
    part.replace(out)


def _framed(images: np.ndarray, share: float, size: int, antialias: bool) -> np.ndarray:
    """Take the middle of patches, and resize it where it has another size."""
    side = max(1, round(images.shape[1] * share))
    edge = (images.shape[1] - side) // 2
    images = images[:, edge : edge + side, edge : edge + side]
    return np.stack([resize(image, size, antialias) for image in images])


def places_of_given(slide: AnnData, view: View) -> dict[str, np.ndarray]:
    """Return where the windows are in the slide, as ``processing.views.arrays_of`` does."""
    from spared_bench.data import SPATIAL

    centres = np.asarray(slide.obsm[SPATIAL], dtype=np.float64)
    side = max(1, round(view.side_px(slide.uns["slide"])))
    corners = np.floor(centres - side / 2 + 0.5).astype(np.int64)
    n = len(centres)
    return {
        "corners": corners,
        "side": np.array(side),
        "of_spot": np.arange(n),
        "inside": np.ones((n, 1), dtype=bool),
        "centres": centres,
        "cells": corners // side,
    }
