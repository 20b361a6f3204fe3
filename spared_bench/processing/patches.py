"""The patch of every spot: a square window of the slide's image, resized.

The window is ``scale`` spot diameters wide and centred on the spot. Its side and its corner are
rounded to whole pixels of the image, so a patch is off by half a pixel at most (by one pixel where
a protocol asks for the published rounding). Where it reaches beyond the image, the image is
mirrored: that invents neither a colour nor a streak, and keeps the patch centred (the published
library cut such windows short, which distorts them).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spared_bench.data import SPATIAL
from spared_bench.errors import CoordinateError, ImageError
from spared_bench.processing.blocks import BlockImage
from spared_bench.processing.cutting import WindowsToCut, cut_windows
from spared_bench.processing.images import open_image

if TYPE_CHECKING:
    from anndata import AnnData

    from spared_bench.protocol import PatchCutting


def cut_patches(slide: AnnData, cutting: PatchCutting, out: Path) -> None:
    """Cut the patch of every spot of one raw slide and write them as one array.

    Parameters
    ----------
    slide : AnnData
        A raw slide (``spared_bench.data.validate_raw_slide``).
    cutting : PatchCutting
        ``scale`` in spot diameters, ``size`` in pixels; ``antialias`` says whether a reduction
        averages over the source pixels (Pillow's bilinear) or only interpolates (OpenCV's);
        ``window``, how a window becomes whole pixels.
    out : Path
        The ``.npy`` file: (n_spots, size, size, 3), uint8, for ``numpy.load(mmap_mode="r")``.
        It appears only when complete.

    Raises
    ------
    ImageError
        If the image is missing or cannot be decoded.
    CoordinateError
        If the centre of a spot is outside the image.
    """
    facts = slide.uns["slide"]
    if not facts["image_path"]:
        raise ImageError(
            "This slide has no image, so no patches can be cut. Add the image to its folder."
        )
    image = open_image(facts["image_path"], facts.get("modality") == "fluorescence")
    cut_windows(image, [patch_windows(slide, image, cutting, out)])


def patch_windows(
    slide: AnnData, image: BlockImage, cutting: PatchCutting, out: Path
) -> WindowsToCut:
    """Return where the patches of a slide are in its image; see ``cut_patches``."""
    facts = slide.uns["slide"]
    scale = float(facts["image_scale"])
    centres = np.asarray(slide.obsm[SPATIAL], dtype=np.float64) * scale
    check_centres(centres, image, slide.obs_names, facts["image_path"])
    diameter = float(facts["spot_diameter_px"]) * scale
    width = (int(diameter) if cutting.window == "published" else diameter) * cutting.scale
    if cutting.um:
        width = cutting.um / um_per_px_of(facts) * scale
    side, corners = centred_windows(centres, width, cutting.window)
    # A window of one pixel around a spot on the right or lower edge would begin behind the image.
    corners = np.minimum(corners, (image.width - 1, image.height - 1))
    return WindowsToCut(corners, side, cutting.size, cutting.antialias, out)


def um_per_px_of(facts: Mapping[str, Any]) -> float:
    """Return the micrometres per full-resolution pixel of a slide.

    Raises
    ------
    ImageError
        If it does not say so.
    """
    found = float(facts["um_per_px"])
    if not found > 0:
        raise ImageError(
            "The protocol's patches are so many micrometres wide (`patches.um`), and this slide"
            " does not say how many a pixel has. Add `um_per_px` to the dataset, or use a protocol"
            " with `patches.scale`."
        )
    return found


def centred_windows(centres: np.ndarray, width: float, window: str) -> tuple[int, np.ndarray]:
    """Return the side of all windows and the upper left corner of each, (n_spots, 2), in pixels.

    ``window`` is the rule of ``PatchCutting`` by which a width becomes whole pixels.
    """
    if window == "published":
        side = max(2, int(width))
        side += side % 2
        return side, np.trunc(centres).astype(int) - side // 2
    side = max(1, round(width))
    return side, np.floor(centres - side / 2 + 0.5).astype(int)


def check_centres(centres: np.ndarray, image: BlockImage, names: Sequence[str], path: str) -> None:
    """Refuse spots whose centre, in pixels of the image, is not in it.

    Raises
    ------
    CoordinateError
    """
    size = (image.width, image.height)
    outside = ((centres < 0) | (centres > size)).any(axis=1)
    if outside.any():
        first = int(np.flatnonzero(outside)[0])
        x, y = centres[first]
        raise CoordinateError(
            f"{int(outside.sum())} of {len(centres)} spots lie outside the image {path}, which is"
            f" {image.width} x {image.height} pixels: spot {names[first]!r} is at"
            f" x={x:.1f}, y={y:.1f}. The coordinates belong to another image, its scale is wrong,"
            " or x and y are swapped."
        )
