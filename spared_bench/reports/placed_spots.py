"""A slide as the checks of it see it: its image, reduced, and its spots in the pixels of that.

Also where else the spots could lie, were they mirrored or shifted, and what of colours is measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spared_bench.data import SPATIAL
from spared_bench.geometry import spacing

if TYPE_CHECKING:
    from anndata import AnnData

_LONGEST_PX = 1000  # of the image that is looked at
_REACH = 6  # shifts that are tried, in spots


@dataclass(frozen=True)
class ReducedImage:
    """A reduced image: pixels (height, width, 3), and its pixels per full-resolution pixel."""

    pixels: np.ndarray
    factor: float


@dataclass(frozen=True)
class PlacedSpots:
    """Centres (n_spots, 2), diameter and distance of neighbours, in pixels of the image."""

    centres: np.ndarray
    diameter: float
    pitch: float

    def mirrored(self, image: ReducedImage) -> dict[str, np.ndarray]:
        """Return mirrored placements, about the middle of the image and about their own."""
        height, width = image.pixels.shape[:2]
        own = self.centres.min(axis=0) + self.centres.max(axis=0)
        placements: dict[str, np.ndarray] = {}
        for size, about in (
            (np.array([width, height]), ""),
            (own, " about the middle of the spots"),
        ):
            x, y = self.centres.T
            placements |= {
                f"mirrored left to right{about}": np.column_stack([size[0] - x, y]),
                f"mirrored top to bottom{about}": np.column_stack([x, size[1] - y]),
                f"turned by half{about}": size - self.centres,
            }
        middle = own / 2
        placements["with x and y exchanged"] = (self.centres - middle)[:, ::-1] + middle
        return placements

    def shifted(self) -> dict[str, np.ndarray]:
        """Return placements two to six spots away."""
        steps = range(-_REACH, _REACH + 1)
        return {
            f"shifted by {x:+d}, {y:+d} spots (right, down)": self.centres
            + self.pitch * np.array([x, y])
            for x in steps
            for y in steps
            if x**2 + y**2 >= 4
        }


def look_at(slide: AnnData) -> ReducedImage:
    from spared_bench.processing.images import read_reduced

    facts = slide.uns["slide"]
    pixels, factor = read_reduced(facts["image_path"], _LONGEST_PX)
    return ReducedImage(pixels, factor * float(facts["image_scale"]))


def spots_in(slide: AnnData, factor: float) -> PlacedSpots:
    centres = np.asarray(slide.obsm[SPATIAL], dtype=np.float64) * factor
    diameter = float(slide.uns["slide"]["spot_diameter_px"]) * factor
    return PlacedSpots(centres, diameter, spacing(centres))


def extremes(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and the highest channel of each pixel, (height, width) each.

    Channel by channel: reducing along so short an axis takes ten times as long.
    """
    red, green, blue = np.moveaxis(rgb, 2, 0)
    lowest: np.ndarray = np.minimum(np.minimum(red, green), blue)
    highest: np.ndarray = np.maximum(np.maximum(red, green), blue)
    return lowest, highest


def density(rgb: np.ndarray) -> np.ndarray:
    """Optical density of each channel: proportional to the amount of stain."""
    density: np.ndarray = -np.log((rgb + 1) / 256)
    return density


def sample(maps: np.ndarray, centres: np.ndarray) -> np.ndarray | None:
    """Read maps at the centres, at the nearest pixel; ``None`` if a tenth lies outside."""
    height, width = maps.shape[:2]
    x, y = np.floor(centres).astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    if inside.mean() < 0.9:
        return None
    values: np.ndarray = maps[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]
    return values.astype(np.float64)
