"""The views of a slide: where their windows lie in its image, and cutting them in one pass.

A window per spot is centred on the spot and rounded to whole pixels as a patch is. A grid begins at
the upper left corner of the image; a spot on the line between two windows belongs to the right or
lower one. Tiles lie side by side around the window of the spot. Beyond the image, the image is
mirrored, as for patches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spared_bench.data import SPATIAL
from spared_bench.data.views import View
from spared_bench.errors import ImageError, ViewError
from spared_bench.processing.blocks import BlockImage
from spared_bench.processing.cutting import WindowsToCut, cut_windows
from spared_bench.processing.given import GIVEN_UM, has_given, places_of_given, write_given
from spared_bench.processing.images import open_image
from spared_bench.processing.patches import centred_windows, check_centres, patch_windows

if TYPE_CHECKING:
    from anndata import AnnData

    from spared_bench.protocol import PatchCutting


@dataclass(frozen=True)
class Placed:
    """Where the windows of a view lie in the image of one slide, in pixels of that image.

    Parameters
    ----------
    side : int
        Of one window, or of one tile.
    corners : ndarray of int, of shape (n_windows, 2)
        Upper left corners (x, y): one per spot, per occupied window of the grid, or per tile, the
        tiles of a spot one after the other.
    of_spot : ndarray of int64, of shape (n_spots,)
        The window of each spot; of tiles, of its first one.
    inside : ndarray of bool, of shape (n_spots, tiles * tiles)
        Whether the centre of each tile lies in the image.
    """

    side: int
    corners: np.ndarray
    of_spot: np.ndarray
    inside: np.ndarray


def place(
    view: View, centres: np.ndarray, facts: Mapping[str, Any], size: tuple[int, int], rule: str
) -> Placed:
    """Say where the windows of a view lie.

    Parameters
    ----------
    view : View
        Settled (``View.settled``).
    centres : ndarray of float64, of shape (n_spots, 2)
        x and y in pixels of the image, all of them in it.
    facts : mapping
        ``uns["slide"]`` of the raw slide.
    size : tuple of int
        Width and height of the image in pixels.
    rule : str
        ``window`` of ``PatchCutting``.

    Raises
    ------
    ViewError
        If it cannot be cut from this slide; see ``check_view``.
    """
    check_view(view, facts, size)
    width = _side(view, facts, rule)
    n = len(centres)
    if view.grid:
        side = max(1, round(width))
        last = (np.array(size) - 1) // side
        cells = np.minimum(np.floor(centres / side).astype(np.int64), last)
        occupied, of_spot = np.unique(cells[:, ::-1], axis=0, return_inverse=True)
        corners = occupied[:, ::-1] * side
        return Placed(side, corners, of_spot.reshape(n).astype(np.int64), np.ones((n, 1), bool))
    side, corners = centred_windows(centres, width, rule)
    if view.tiles == 1:
        corners = np.minimum(corners, np.array(size) - 1)
        return Placed(side, corners, np.arange(n), np.ones((n, 1), bool))
    steps = np.arange(view.tiles) - view.tiles // 2
    down, across = (each.ravel() for each in np.meshgrid(steps, steps, indexing="ij"))
    shifts = np.stack([across, down], axis=1) * side  # row by row, (tiles * tiles, 2)
    shifted = centres[:, None] + shifts
    inside: np.ndarray = np.all((shifted >= 0) & (shifted <= np.array(size)), axis=2)
    every = (corners[:, None] + shifts).reshape(-1, 2)
    return Placed(side, every, np.arange(n) * view.tiles**2, inside)


def check_view(view: View, facts: Mapping[str, Any], size: tuple[int, int]) -> None:
    """Refuse a view that cannot be cut from a slide.

    Parameters
    ----------
    view : View
        Settled.
    facts : mapping
        ``image_scale``, ``spot_diameter_px`` and ``um_per_px`` of the slide.
    size : tuple of int
        Width and height of its image in pixels.

    Raises
    ------
    ViewError
        If a window is larger than the image both ways, or is asked for in micrometres where a
        pixel has no known size.
    """
    side = view.side_px(facts) * float(facts["image_scale"])
    if round(side) > max(size):
        raise ViewError(
            f"a window of {view.in_words} is {side:,.0f} px wide, and the image is {size[0]:,} x"
            f" {size[1]:,} px. Declare a smaller window, or check um_per_px and the width of a"
            " spot in the dataset"
        )


def _side(view: View, facts: Mapping[str, Any], rule: str) -> float:
    """Return the width of a window in pixels of the image, before it is rounded."""
    scale = float(facts["image_scale"])
    if view.scale and rule == "published":
        return int(float(facts["spot_diameter_px"]) * scale) * view.scale
    return view.side_px(facts) * scale


def opened(slide: AnnData) -> tuple[BlockImage, np.ndarray]:
    """Open the image of a raw slide; return it with the centres of its spots in its pixels.

    Raises
    ------
    ImageError, CoordinateError
    """
    facts = slide.uns["slide"]
    if not facts["image_path"]:
        raise ImageError(
            "This slide has no image, so no views can be cut. Add the image to its folder."
        )
    image = open_image(facts["image_path"], facts.get("modality") == "fluorescence")
    centres = np.asarray(slide.obsm[SPATIAL], dtype=np.float64) * float(facts["image_scale"])
    check_centres(centres, image, slide.obs_names, facts["image_path"])
    return image, centres


def cut_slide(
    slide: AnnData,
    cutting: PatchCutting,
    *,
    patches: Path | None = None,
    views: Sequence[tuple[View, Path]] = (),
) -> None:
    """Cut the patches of one raw slide and any number of its views in one pass over its image.

    Parameters
    ----------
    slide : AnnData
    cutting : PatchCutting
        How patches are cut; ``window`` and ``antialias`` hold for views, too.
    patches : Path, optional
        Where the patches go; none are cut without it.
    views : sequence of (View, Path)
        Settled views and the ``.npy`` file of each: (n_windows, size, size, 3), uint8. Beside it,
        a file of the same name that ends in ``.npz`` says where the windows are. Of tiles there is
        only that one.

    Raises
    ------
    ImageError, CoordinateError, ViewError
    """
    if has_given(slide.uns["slide"]):
        _take_given(slide, cutting, patches, views)
        return
    image, centres = opened(slide)
    wanted = [] if patches is None else [patch_windows(slide, image, cutting, patches)]
    for view, out in views:
        size = (image.width, image.height)
        placed = place(view, centres, slide.uns["slide"], size, cutting.window)
        where = arrays_of(placed, float(slide.uns["slide"]["image_scale"]))
        np.savez(out.with_suffix(".npz"), allow_pickle=False, **where)
        if view.tiles == 1:
            wanted.append(
                WindowsToCut(placed.corners, placed.side, view.size, cutting.antialias, out, True)
            )
    if wanted:
        cut_windows(image, wanted)


def _take_given(
    slide: AnnData,
    cutting: PatchCutting,
    patches: Path | None,
    views: Sequence[tuple[View, Path]],
) -> None:
    """Write patches and views of a slide that brings its patches."""
    if patches is not None:
        write_given(slide, cutting.view, cutting.antialias, patches)
    for view, out in views:
        write_given(slide, view, cutting.antialias, out)
        np.savez(out.with_suffix(".npz"), allow_pickle=False, **places_of_given(slide, view))


def image_size_of(slide: AnnData) -> tuple[int, int]:
    """Return width and height of what windows are cut from: the image, or one given patch."""
    facts = slide.uns["slide"]
    if has_given(facts):
        side = round(float(facts[GIVEN_UM]) / float(facts["um_per_px"]))
        return side, side
    image, _ = opened(slide)
    return image.width, image.height


def arrays_of(placed: Placed, scale: float) -> dict[str, np.ndarray]:
    """Return what ``view_products.cut_of`` reads of a slide.

    Parameters
    ----------
    placed : Placed
    scale : float
        Pixels of the image per full-resolution pixel.
    """
    return {
        "corners": placed.corners.astype(np.int64),
        "side": np.array(placed.side),
        "of_spot": placed.of_spot,
        "inside": placed.inside,
        "centres": (placed.corners + placed.side / 2) / scale,
        "cells": placed.corners // placed.side,
    }
