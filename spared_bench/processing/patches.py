"""The patch of every spot: a square window of the slide's image, resized.

The window is ``scale`` spot diameters wide and centred on the spot. Its side and its corner are
rounded to whole pixels of the image, so a patch is off by half a pixel at most (by one pixel where
a protocol asks for the published rounding). Where it reaches beyond the image, the image is
mirrored: that invents neither a colour nor a streak, and keeps the patch centred (the published
library cut such windows short, which distorts them).
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spared_bench.data import SPATIAL
from spared_bench.errors import CoordinateError, ImageError
from spared_bench.processing.blocks import BlockImage
from spared_bench.processing.images import open_image
from spared_bench.threads import usable_cores

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
    scale = float(facts["image_scale"])
    centres = np.asarray(slide.obsm[SPATIAL], dtype=np.float64) * scale
    check_centres(centres, image, slide.obs_names, facts["image_path"])
    side, corners = _windows(centres, float(facts["spot_diameter_px"]) * scale, cutting)
    # A window of one pixel around a spot on the right or lower edge would begin behind the image.
    corners = np.minimum(corners, (image.width - 1, image.height - 1))

    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    shape = (slide.n_obs, cutting.size, cutting.size, 3)
    try:
        # Written one by one: pages of a memory map would stay resident until the end.
        with partial.open("wb") as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            begin, each = file.tell(), int(np.prod(shape[1:]))
            for spot, patch in _patches(image, corners, side, cutting):
                file.seek(begin + spot * each)
                file.write(np.ascontiguousarray(patch).data)
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)


def _patches(
    image: BlockImage, corners: np.ndarray, side: int, cutting: PatchCutting
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the number and the patch of every spot, in the order in which the file is decoded.

    Decoding and resizing release Python's lock, so threads do both on all cores. A patch does not
    depend on the order, nor on the number of threads.
    """

    def patch_of(spot: int) -> np.ndarray:
        window = padded_window(image, int(corners[spot, 0]), int(corners[spot, 1]), side)
        return resize(window, cutting.size, cutting.antialias)

    order = image.file_order(corners, side).tolist()
    workers = usable_cores()
    with ThreadPoolExecutor(workers) as threads:
        waiting: deque[tuple[int, Future[np.ndarray]]] = deque()
        for spot in order:
            waiting.append((spot, threads.submit(patch_of, spot)))
            if len(waiting) > 4 * workers:  # so that neither patches nor blocks pile up
                done, patch = waiting.popleft()
                yield done, patch.result()
        for done, patch in waiting:
            yield done, patch.result()


def _windows(centres: np.ndarray, diameter: float, cutting: PatchCutting) -> tuple[int, np.ndarray]:
    """Return the side of all windows and the upper left corner of each, (n_spots, 2), in pixels."""
    if cutting.window == "published":
        side = max(2, int(int(diameter) * cutting.scale))
        side += side % 2
        return side, np.trunc(centres).astype(int) - side // 2
    side = max(1, round(diameter * cutting.scale))
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


def padded_window(image: BlockImage, left: int, top: int, side: int) -> np.ndarray:
    """Read a square window, mirrored where it leaves the image: (side, side, 3), uint8."""
    if min(left, top) >= 0 and left + side <= image.width and top + side <= image.height:
        return image.window(left, top, side, side)
    columns = _mirrored(left, side, image.width)
    rows = _mirrored(top, side, image.height)
    left, top = int(columns.min()), int(rows.min())
    window = image.window(left, top, int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1)
    return window[np.ix_(rows - top, columns - left)]


def _mirrored(start: int, side: int, length: int) -> np.ndarray:
    """Return the pixels that ``side`` places from ``start`` on show, as often as it takes."""
    places = np.arange(start, start + side) % (2 * length)
    return np.minimum(places, 2 * length - 1 - places)


def resize(window: np.ndarray, size: int, antialias: bool) -> np.ndarray:
    """Resize a square window bilinearly: (side, side, 3) to (size, size, 3), uint8."""
    from PIL import Image as Pillow

    side = len(window)
    if side == size:
        return window
    picture = Pillow.fromarray(np.ascontiguousarray(window))
    if antialias:
        return np.asarray(picture.resize((size, size), Pillow.Resampling.BILINEAR))
    whole = (0, 0, side, side)
    method, bilinear = Pillow.Transform.EXTENT, Pillow.Resampling.BILINEAR
    return np.asarray(picture.transform((size, size), method, whole, bilinear))
