"""What was cut by a view, as slides hand it out; the same from the store and from memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from spared_bench.data import Patches
from spared_bench.data.viewed import Cut, ReadTiles, Tiles, Windows
from spared_bench.data.views import View
from spared_bench.processing.blocks import BlockImage
from spared_bench.processing.cutting import WindowsToCut, read_windows

#: Arrays of one slide, by their names (``processing.views.arrays_of``).
Places = Mapping[str, np.ndarray]


def cut_of(
    view: View,
    places: Mapping[str, Places],
    spots: np.ndarray,
    *,
    patches: Patches | None = None,
    images: Sequence[Callable[[], BlockImage]] = (),
    antialias: bool = True,
    change: Sequence[Callable[[np.ndarray], np.ndarray]] = (),
) -> Cut:
    """Return what was cut by a view.

    Parameters
    ----------
    view : View
    places : mapping of slide id to mapping
        Where the windows of each slide are.
    spots : ndarray of int
        Where among the stored spots each spot of the prepared dataset is.
    patches : Patches, optional
        What was cut, slide after slide; ``None`` for tiles.
    images : sequence of callable
        Of tiles: one per slide, which opens its image.
    antialias : bool
        Of tiles, which are cut when they are read.
    change : sequence of callable
        Of tiles: one per slide, which changes windows, (n, size, size, 3), uint8; none where they
        stay as they are cut.
    """
    if view.per_spot:
        return Cut(spots, patches=patches)
    if view.grid:
        assert patches is not None
        return Cut(spots, windows=_windows(places, patches))
    corners = [place["corners"] for place in places.values()]
    read = _tile_reader(
        images,
        corners,
        [int(place["side"]) for place in places.values()],
        view,
        antialias,
        change,
    )
    inside = np.concatenate([place["inside"] for place in places.values()])
    tiles = Tiles(read, (view.tiles**2, view.size, view.size, 3), np.arange(len(inside)))
    return Cut(spots, tiles=tiles, inside=inside, reading_order=_reading_order(corners, view))


def _windows(places: Mapping[str, Places], patches: Patches) -> Windows:
    counts = [len(place["corners"]) for place in places.values()]
    starts = np.cumsum([0, *counts[:-1]])
    of_spot = [p["of_spot"] + start for p, start in zip(places.values(), starts, strict=True)]
    cells = np.concatenate([place["cells"] for place in places.values()])
    return Windows(
        patches=patches,
        of_spot=np.concatenate(of_spot),
        slide_ids=np.repeat(np.array(list(places), dtype=str), counts),
        centres=np.concatenate([place["centres"] for place in places.values()]),
        rows=cells[:, 1],
        columns=cells[:, 0],
    )


def _reading_order(corners: Sequence[np.ndarray], view: View) -> np.ndarray:
    """Return an order of all spots, slide by slide, from the top of each image to its bottom."""
    orders, start = [], 0
    for each in corners:
        top = each.reshape(-1, view.tiles**2, 2)[:, 0, 1]
        orders.append(start + np.argsort(top, kind="stable"))
        start += len(top)
    return np.concatenate(orders)


def _tile_reader(
    images: Sequence[Callable[[], BlockImage]],
    corners: Sequence[np.ndarray],
    sides: Sequence[int],
    view: View,
    antialias: bool,
    change: Sequence[Callable[[np.ndarray], np.ndarray]] = (),
) -> ReadTiles:
    """Return what cuts the tiles of stored spots when they are read.

    Parameters
    ----------
    images : sequence of callable
        One per slide; opens its image.
    corners : sequence of ndarray of int, each (n_spots of the slide * tiles * tiles, 2)
    sides : sequence of int
    view : View
    antialias : bool
    change : sequence of callable
        One per slide, or none.
    """
    each = view.tiles**2
    starts = np.cumsum([0, *(len(one) // each for one in corners)])
    kept: dict[int, BlockImage] = {}

    def read(rows: np.ndarray) -> np.ndarray:
        out = np.empty((len(rows), each, view.size, view.size, 3), dtype=np.uint8)
        slide_of = np.searchsorted(starts, rows, side="right") - 1
        for slide in np.unique(slide_of):
            if slide not in kept:
                kept.clear()  # the blocks of one image are held, not those of all
                kept[slide] = images[slide]()
            here = slide_of == slide
            mine = corners[slide].reshape(-1, each, 2)[rows[here] - starts[slide]]
            wanted = WindowsToCut(
                mine.reshape(-1, 2), sides[slide], view.size, antialias, Path("tiles"), True
            )
            found = read_windows(kept[slide], wanted)
            if change:
                found = change[slide](found)
            out[here] = found.reshape(-1, each, view.size, view.size, 3)
        return out

    return read
