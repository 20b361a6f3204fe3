"""A small picture of each slide for the page: the tissue alone, and with its spots on it.

Pictures are WebP, cut to the spots and bounded in pixels and bytes, so that those of a hundred
slides stay a few megabytes.
"""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spared_bench.data import SPATIAL

if TYPE_CHECKING:
    from anndata import AnnData
    from PIL.Image import Image

#: Files: the tissue, the tissue with its spots, and where both lie.
TISSUE, SPOTS, FRAME = "tissue.webp", "spots.webp", "frame.json"

_READ_PX = 2_400  # of the whole image, longer side
_TISSUE_PX, _TISSUE_BYTES = 1_000, 96_000
_SPOTS_PX, _SPOTS_BYTES = 420, 24_000
_MARGIN_SPOTS = 1.5  # how far around the spots a picture reaches, in spot diameters
_QUALITIES = (70, 55, 40, 25, 12)
_RING = (20, 90, 140)


@dataclass(frozen=True)
class Frame:
    """Where a picture lies on its slide, in full-resolution pixels, as spot centres are.

    Parameters
    ----------
    left, top, width, height : float
    spot_px : float
        Diameter of a spot.
    um_per_px : float
        0 where unknown.
    n_spots : int
        Measured on the slide, before any filter.
    """

    left: float
    top: float
    width: float
    height: float
    spot_px: float
    um_per_px: float
    n_spots: int


def write_pictures(slide: AnnData, folder: Path) -> None:
    """Write the pictures of a raw slide that has an image, and where they lie.

    Parameters
    ----------
    slide : AnnData
        As a dataset's reader returns it.
    folder : Path

    Raises
    ------
    ImageError
        If the image cannot be read.
    """
    from PIL import Image

    from spared_bench.processing.images import image_size, read_reduced

    facts = slide.uns["slide"]
    path, scale = facts["image_path"], float(facts["image_scale"])
    centres = np.asarray(slide.obsm[SPATIAL], dtype=float)
    box = _box(centres * scale, float(facts["spot_diameter_px"]) * scale, image_size(path))
    pixels, factor = read_reduced(path, _READ_PX, facts.get("modality") == "fluorescence")
    left, top, right, bottom = (round(side * factor) for side in box)
    cut = Image.fromarray(pixels[top : max(bottom, top + 1), left : max(right, left + 1)])
    frame = Frame(
        left / factor / scale,
        top / factor / scale,
        cut.width / factor / scale,
        cut.height / factor / scale,
        float(facts["spot_diameter_px"]),
        float(facts["um_per_px"]),
        int(slide.n_obs),
    )
    (folder / TISSUE).write_bytes(_webp(_within(cut, _TISSUE_PX), _TISSUE_BYTES))
    marked = _with_spots(_within(cut, 2 * _SPOTS_PX), centres, frame)
    (folder / SPOTS).write_bytes(_webp(_within(marked, _SPOTS_PX), _SPOTS_BYTES))
    (folder / FRAME).write_text(json.dumps(asdict(frame)), encoding="utf-8")


def _box(
    centres: np.ndarray, diameter: float, size: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom around the spots, within the image."""
    around = _MARGIN_SPOTS * diameter
    low = np.clip(centres.min(axis=0) - around, 0, np.array(size) - 1.0)
    high = np.clip(centres.max(axis=0) + around, low + 1, size)
    return (*low, *high)


def _within(image: Image, longest: int) -> Image:
    from PIL.Image import Resampling

    share = min(1.0, longest / max(image.size))
    width, height = (max(1, round(side * share)) for side in image.size)
    return image.resize((width, height), Resampling.BOX)


def _with_spots(image: Image, centres: np.ndarray, frame: Frame) -> Image:
    from PIL import ImageDraw

    drawn = image.copy()
    pen = ImageDraw.Draw(drawn)
    scale = image.width / frame.width
    radius = max(1.0, frame.spot_px * scale / 2)
    for x, y in (centres - (frame.left, frame.top)) * scale:
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), outline=_RING, width=2)
    return drawn


def _webp(image: Image, most: int) -> bytes:
    """Return the picture at the best quality that fits, or the smallest there is, made smaller."""
    while True:
        for quality in _QUALITIES:
            file = io.BytesIO()
            image.save(file, "WEBP", quality=quality, method=4)
            if file.tell() <= most:
                return file.getvalue()
        image = _within(image, max(1, round(0.7 * max(image.size))))
