"""Views of the slides that are made on the spot: cut from a picture of all their patches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np

import spared_bench.data.pickling  # noqa: F401 - slides can be pickled then
from spared_bench.data import Patches, Slides
from spared_bench.data.viewed import Cut, SpotView
from spared_bench.data.views import TARGET, View, checked_views, declared_by
from spared_bench.processing.blocks import BlockImage
from spared_bench.processing.colours import Colours
from spared_bench.processing.cutting import WindowsToCut, read_windows
from spared_bench.processing.view_products import cut_of
from spared_bench.processing.views import arrays_of, place
from spared_bench.registry import Registered
from spared_bench.testing.checks import construct
from spared_bench.testing.slides import PATCH, TinySlides, tiny_slides

#: A spot of Visium, which is what the patches show.
_SPOT_UM = 55.0
_SPACING = 100
_FACTS = {"spot_diameter_px": PATCH, "um_per_px": _SPOT_UM / PATCH, "image_scale": 1.0}


def slides_for(entry: Registered) -> TinySlides:
    """Return tiny slides with the views that a registered completer or predictor declares."""
    label = f"{entry.spec.kind.capitalize()} {entry.spec.name!r}"
    declared = checked_views(declared_by(construct(entry), label), label)
    return with_views(tiny_slides(), declared)


def with_views(slides: TinySlides, declared: Mapping[str, View] | None) -> TinySlides:
    """Return the slides with the views that a method declares.

    Parameters
    ----------
    slides : TinySlides
        Of ``tiny_slides``: a spot is 24 px wide and stands for 55 µm.
    declared : mapping of str to View, or None
        ``views`` of a method. A window larger than the picture, 800 x 500 px, becomes as wide as
        the picture is high: small slides stand for large ones.

    Returns
    -------
    TinySlides

    Raises
    ------
    PluginError
        If what is declared are no views.
    """
    views = checked_views(declared, "The method")
    if not views:
        return slides
    return TinySlides(*(with_views_of_all(part, views) for part in slides))


def with_views_of_all(slides: Slides, declared: Mapping[str, View]) -> Slides:
    """Return slides with views that are cut together, so that parts can be joined again."""
    pictures = {slide_id: picture_of(slide) for slide_id, slide in slides.each()}
    seen = {}
    for name, view in declared.items():
        settled = _that_fits(view.settled(1.0, PATCH), next(iter(pictures.values())))
        find = cache(partial(_cut, slides, pictures, settled))
        seen[name] = SpotView(settled, find, np.arange(len(slides)))
    patches = seen[TARGET].patches if TARGET in seen else slides.patches
    return replace(slides, patches=patches, views=seen)


def picture_of(slide: Slides) -> np.ndarray:
    """Return a picture of one slide, (height, width, 3), uint8: its patches on noise."""
    width, height = (slide.coordinates.max(axis=0) + _SPACING / 2).astype(int)
    noise = np.random.default_rng(13).integers(180, 240, size=(height, width, 3))
    picture = noise.astype(np.uint8)
    for (x, y), patch in zip(slide.coordinates.astype(int), slide.patches[:], strict=True):
        picture[y - PATCH // 2 : y + PATCH // 2, x - PATCH // 2 : x + PATCH // 2] = patch
    return picture


def _that_fits(view: View, picture: np.ndarray) -> View:
    if view.side_px(_FACTS) <= min(picture.shape[:2]):
        return view
    return replace(view, scale=0, um=0, pixels=min(picture.shape[:2]))


class _Picture(BlockImage):
    """An image in memory: one block."""

    def __init__(self, pixels: np.ndarray) -> None:
        height, width, bands = pixels.shape
        edges = np.array([0, height]), np.array([0, width])
        super().__init__(Path("picture"), *edges, bands, pixels.dtype, Colours(top=255))
        self._pixels = pixels
        self.size = width, height

    def decode(self, row: int, column: int) -> np.ndarray:
        return self._pixels


def _cut(slides: Slides, pictures: Mapping[str, np.ndarray], view: View) -> Cut:
    images = {slide_id: _Picture(pixels) for slide_id, pixels in pictures.items()}
    placed = {
        slide_id: place(view, slide.coordinates, _FACTS, images[slide_id].size, "centred")
        for slide_id, slide in slides.each()
    }
    arrays = [
        read_windows(image, WindowsToCut(p.corners, p.side, view.size, True, Path(), True))
        for image, p in zip(images.values(), placed.values(), strict=True)
        if view.tiles == 1
    ]
    return cut_of(
        view,
        {slide_id: arrays_of(p, 1.0) for slide_id, p in placed.items()},
        np.arange(len(slides)),
        patches=Patches(arrays),
        images=[partial(images.__getitem__, slide_id) for slide_id in placed],
    )
