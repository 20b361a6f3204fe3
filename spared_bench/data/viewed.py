"""The views of spots, as slides hand them out: windows, tiles, and grids that spots share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from spared_bench.data.patches import DeferredPatches, Patches
from spared_bench.data.views import View

#: ``(rows) -> (n, tiles * tiles, size, size, 3)``, uint8, of these stored spots.
ReadTiles = Callable[[np.ndarray], np.ndarray]


class Tiles:
    """The tiles around many spots, cut from the image when they are read.

    Parameters
    ----------
    read : callable
        ``(rows) -> (n, tiles * tiles, size, size, 3)``, uint8, of these stored spots.
    shape : tuple of int
        ``(tiles * tiles, size, size, 3)``.
    rows : ndarray of int
        Which of the stored spots these are, in order.
    """

    def __init__(self, read: ReadTiles, shape: tuple[int, int, int, int], rows: np.ndarray) -> None:
        self._read, self._each, self._rows = read, shape, np.asarray(rows)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """(n_spots, tiles * tiles, size, size, 3)."""
        return (len(self), *self._each)

    @property
    def rows(self) -> np.ndarray:
        """Positions of these spots among those stored, (n_spots,)."""
        return self._rows

    def subset(self, rows: np.ndarray) -> Tiles:
        """Return the tiles of the spots at these positions, or where a boolean array is True."""
        return Tiles(self._read, self._each, self._rows[rows])

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Cut tiles, row by row from the upper left: (n, tiles * tiles, size, size, 3), uint8."""
        return self._read(np.atleast_1d(self._rows[rows]))

    @property
    def flat(self) -> Patches:
        """The same tiles one after the other, as an encoder reads patches."""
        return _FlatTiles(self)


class _FlatTiles(Patches):
    """All tiles of some spots, spot after spot: (n_spots * tiles * tiles, size, size, 3)."""

    def __init__(self, tiles: Tiles, rows: np.ndarray | None = None) -> None:
        self._tiles, self._each = tiles, tiles.shape[1]
        self._rows = np.arange(len(tiles) * self._each) if rows is None else np.asarray(rows)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        size = self._tiles.shape[2]
        return len(self._rows), size, size, 3

    @property
    def whole(self) -> Patches:
        return _FlatTiles(self._tiles)

    def subset(self, rows: np.ndarray) -> Patches:
        return _FlatTiles(self._tiles, self._rows[rows])

    def __getitem__(self, rows: Any) -> np.ndarray:
        wanted = np.atleast_1d(self._rows[rows])
        spots, place = np.unique(wanted // self._each, return_inverse=True)
        values: np.ndarray = self._tiles[spots][place, wanted % self._each]
        return values


@dataclass(frozen=True)
class Windows:
    """The windows of a grid in which spots lie, slide after slide, each window once.

    Parameters
    ----------
    patches : Patches
        (n_windows, size, size, 3).
    of_spot : ndarray of int64, of shape (n_spots,)
        The window in which the centre of each spot lies.
    slide_ids : ndarray of str, of shape (n_windows,)
    centres : ndarray of float64, of shape (n_windows, 2)
        x and y in full-resolution pixels.
    rows, columns : ndarray of int64, of shape (n_windows,)
        Place in the grid of its slide, counted from the upper left.
    """

    patches: Patches
    of_spot: np.ndarray
    slide_ids: np.ndarray
    centres: np.ndarray
    rows: np.ndarray
    columns: np.ndarray

    def __len__(self) -> int:
        return len(self.slide_ids)

    def with_spots(self, spots: np.ndarray) -> tuple[Windows, np.ndarray]:
        """Return the windows of these spots, and which of all windows they are, in order."""
        kept, of_spot = np.unique(self.of_spot[spots], return_inverse=True)
        fewer = replace(
            self,
            patches=self.patches.subset(kept),
            of_spot=of_spot.astype(np.int64),
            slide_ids=self.slide_ids[kept],
            centres=self.centres[kept],
            rows=self.rows[kept],
            columns=self.columns[kept],
        )
        return fewer, kept


@dataclass(frozen=True)
class Cut:
    """What was cut by a view of all spots of a dataset, in the order in which it is stored.

    Parameters
    ----------
    spots : ndarray of int
        Where among the stored spots each spot of the prepared dataset is.
    patches : Patches, optional
        Of a view with one window per spot.
    tiles : Tiles, optional
    inside : ndarray of bool, of shape (n_stored, tiles * tiles), optional
        Whether the centre of a tile lies in the image.
    windows : Windows, optional
        Of a grid.
    reading_order : ndarray of int, optional
        Of the stored spots, in which their tiles are cut fastest.
    """

    spots: np.ndarray
    patches: Patches | None = None
    tiles: Tiles | None = None
    inside: np.ndarray | None = None
    windows: Windows | None = None
    reading_order: np.ndarray | None = None


@dataclass(frozen=True)
class SpotView:
    """One view of the spots of some slides; nothing is looked for before it is asked for.

    Parameters
    ----------
    view : View
        As it was declared, with the protocol's values where it leaves them open.
    find : callable
        Returns what was cut; with ``functools.cache``.
    rows : ndarray of int
        Which spots of the prepared dataset these are, in order.
    """

    view: View
    find: Callable[[], Cut]
    rows: np.ndarray

    def subset(self, rows: np.ndarray) -> SpotView:
        """Return the view of the spots at these positions, or where a boolean array is True."""
        return replace(self, rows=self.rows[rows])

    def joined(self, other: SpotView) -> SpotView:
        """Return the same view of these spots, and of others after them."""
        return replace(self, rows=np.concatenate([self.rows, other.rows]))

    @property
    def handed_out_by(self) -> str:
        """The method of ``Slides`` that hands it out: ``view``, ``tiles`` or ``windows``."""
        return "windows" if self.view.grid else "tiles" if self.view.tiles > 1 else "view"

    @property
    def stored(self) -> np.ndarray:
        """Where these spots are among those stored, (n_spots,)."""
        return self.find().spots[self.rows]

    @property
    def patches(self) -> Patches:
        """One window per spot."""

        def found() -> Patches:
            cut = self.find()
            assert cut.patches is not None
            return cut.patches.subset(cut.spots)

        return DeferredPatches(found, self.rows)

    @property
    def tiles(self) -> Tiles:
        """The tiles of each spot."""
        tiles = self.find().tiles
        assert tiles is not None
        return tiles.subset(self.stored)

    @property
    def inside(self) -> np.ndarray:
        """Whether each tile lies in the image by its centre, (n_spots, tiles * tiles)."""
        inside = self.find().inside
        assert inside is not None
        return np.array(inside[self.stored])

    @property
    def windows(self) -> Windows:
        """The windows in which these spots lie."""
        return self.windows_and_places[0]

    @property
    def windows_and_places(self) -> tuple[Windows, np.ndarray]:
        """The windows in which these spots lie, and which of the stored ones they are."""
        windows = self.find().windows
        assert windows is not None
        return windows.with_spots(self.stored)

    def features(self, encode: Callable[[Patches], np.ndarray]) -> np.ndarray:
        """Return the features of these spots' view, as ``Slides.features`` describes them.

        Parameters
        ----------
        encode : callable
            ``Encoder.encode``.
        """
        if self.view.grid:
            return encode(self.windows.patches)
        if self.view.tiles == 1:
            return encode(self.patches)
        return encode(self.tiles.flat).reshape(len(self.rows), self.view.tiles**2, -1)

    @property
    def everything(self) -> tuple[Patches, np.ndarray | None]:
        """All that is stored, as an encoder reads it, and of which stored spot each patch is.

        ``None`` of a grid, whose windows say their slide themselves. See ``arranged``.
        """
        cut = self.find()
        if cut.windows is not None:
            return cut.windows.patches.whole, None
        if cut.tiles is None:
            assert cut.patches is not None
            return cut.patches.whole, np.arange(len(cut.patches.whole))
        order = self._reading_order()
        return cut.tiles.subset(order).flat, np.repeat(order, self.view.tiles**2)

    def arranged(self, features: np.ndarray) -> np.ndarray:
        """Put the features of ``everything`` into the order of what is stored; see ``select``."""
        if self.find().tiles is None:
            return features
        order = self._reading_order()
        found = features.reshape(len(order), self.view.tiles**2, -1)
        return found[np.argsort(order, kind="stable")]

    def _reading_order(self) -> np.ndarray:
        cut = self.find()
        assert cut.tiles is not None
        return np.arange(len(cut.tiles)) if cut.reading_order is None else cut.reading_order

    def select(self, features: np.ndarray) -> np.ndarray:
        """Return those of these spots, or of their windows, among the features of all."""
        rows = self.windows_and_places[1] if self.view.grid else self.stored
        return np.array(features[rows])
