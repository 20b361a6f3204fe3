"""The patches of spots: read from memory-mapped arrays, or cut when they are first looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path


class Patches:
    """The patches of many spots, read from one memory-mapped array per slide.

    Parameters
    ----------
    arrays : sequence of ndarray of uint8, each (n_spots of the slide, size, size, 3)
    rows : ndarray of int, optional
        Which rows of the stacked arrays these patches are, in order; all by default.
    """

    def __init__(self, arrays: Sequence[np.ndarray], rows: np.ndarray | None = None) -> None:
        self._arrays = list(arrays)
        self._starts = np.cumsum([0, *(len(array) for array in self._arrays)])
        self._rows = np.arange(self._starts[-1]) if rows is None else np.asarray(rows)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(n_spots, size, size, 3)."""
        size = self._arrays[0].shape[1] if self._arrays else 0
        return len(self), size, size, 3

    @property
    def rows(self) -> np.ndarray:
        """Positions of these patches in the stacked arrays, (n_spots,)."""
        return self._rows

    @property
    def whole(self) -> Patches:
        """All patches of the stacked arrays, in storage order."""
        return Patches(self._arrays)

    def subset(self, rows: np.ndarray) -> Patches:
        """Return the patches at these positions, or where a boolean array is True."""
        return Patches(self._arrays, self._rows[rows])

    def joined(self, other: Patches) -> Patches:
        """Return these patches and others of the same stacked arrays after them."""
        return Patches(self._arrays, np.concatenate([self._rows, other._rows]))

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Read patches into memory: (n, size, size, 3), uint8."""
        wanted = np.atleast_1d(self._rows[rows])
        _, size, _, channels = self.shape
        out = np.empty((len(wanted), size, size, channels), dtype=np.uint8)
        slide = np.searchsorted(self._starts, wanted, side="right") - 1
        for index in np.unique(slide):
            here = slide == index
            out[here] = self._arrays[index][wanted[here] - self._starts[index]]
        return out


class DeferredPatches(Patches):
    """Patches that are cut, or looked for, when the first of them is asked for.

    So what looks at no patch needs no image: preparing a dataset, most completers, two controls.

    Parameters
    ----------
    find : callable
        Returns the patches of all rows; with ``functools.cache``, so that it cuts but once.
    rows : ndarray of int
        Which of them these are, in order.
    """

    def __init__(self, find: Callable[[], Patches], rows: np.ndarray) -> None:
        self._find = find
        self._rows = np.asarray(rows)

    @property
    def found(self) -> Patches:
        """The patches themselves.

        Raises
        ------
        ImageError
            If a slide has no image, or one that cannot be used.
        """
        return self._find().subset(self._rows)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(n_spots, size, size, 3)."""
        return self.found.shape

    @property
    def rows(self) -> np.ndarray:
        """Positions of these patches in the stacked arrays, (n_spots,)."""
        return self.found.rows

    @property
    def whole(self) -> Patches:
        """All patches of the stacked arrays, in storage order."""
        return self.found.whole

    def subset(self, rows: np.ndarray) -> Patches:
        """Return the patches at these positions, or where a boolean array is True."""
        return DeferredPatches(self._find, self._rows[rows])

    def joined(self, other: Patches) -> Patches:
        """Return these patches and others of the same stacked arrays after them."""
        return DeferredPatches(self._find, np.concatenate([self._rows, other._rows]))

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Read patches into memory: (n, size, size, 3), uint8."""
        values: np.ndarray = self.found[rows]
        return values


def open_patches(folder: Path, slide_ids: Sequence[str]) -> Patches:
    """Open the patch arrays of these slides, in this order, without reading them."""
    return Patches([np.load(folder / f"{slide_id}.npy", mmap_mode="r") for slide_id in slide_ids])
