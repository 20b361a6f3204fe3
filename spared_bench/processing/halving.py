"""Images that are halved, for windows that are made much smaller.

A window that shrinks three times or more holds far more pixels than are kept of it, and those of
neighbouring spots overlap. So the image is halved once, or several times, block by block as it is
decoded, and such windows are resized from that, as Pillow does for thumbnails (``reducing_gap``
of 1.5 to 3). That differs from resizing all pixels by a few levels at sharp edges; all else is
what Pillow's bilinear resizing gives, to the rounding of one level. No window depends on what else
is cut.
"""

from __future__ import annotations

import math
from itertools import product
from threading import Lock

import numpy as np

from spared_bench.processing.blocks import CACHE_BYTES, BlockImage, even_edges
from spared_bench.processing.colours import Colours
from spared_bench.processing.compiled import compiled

#: Windows that are less wide are resized from all their pixels, which costs next to nothing.
LARGE = 512
_GAP = 1.5  # at least so many pixels become one
_BLOCK = 128  # rows of a halved block
_ACROSS = 1024  # columns at least


def halvings_of(side: int, size: int) -> int:
    """Return how often an image is halved for a window."""
    return max(0, math.floor(math.log2(side / (_GAP * size)))) if side >= LARGE else 0


class HalvedImage(BlockImage):
    """An image averaged over squares of two pixels; an odd row or column at its end is left out.

    Its blocks are kept until the last of those who were expected has read them.

    Parameters
    ----------
    image : BlockImage
        Itself halved, for a quarter of the side.

    """

    def __init__(self, image: BlockImage) -> None:
        self.image = image
        self.factor: int = 2 * getattr(image, "factor", 1)
        # Where no square of two lies in several blocks, they need not be put together first.
        edges = np.concatenate([image.rows[:-1], image.columns[:-1]])
        self._by_blocks = image.plain and not (edges % 2).any()
        self._followed = image if self._by_blocks and isinstance(image, HalvedImage) else None
        if self.follows:
            rows, columns = image.rows // 2, image.columns // 2  # the last one may be empty
        else:
            # Twice as wide as those of the image, so that each of these is asked for by few.
            across = max(_ACROSS, int(np.diff(image.columns).max()))
            rows = even_edges(image.height // 2, _BLOCK)
            columns = even_edges(image.width // 2, across)
        super().__init__(image.path, rows, columns, 3, np.dtype(np.uint8), Colours(top=255))
        # What the cache would come to hold as a whole is one array, of which windows are parts.
        shape = self.height, self.width, 3
        self._whole = np.empty(shape, np.uint8) if math.prod(shape) <= CACHE_BYTES else None
        self._there = np.zeros((len(rows) - 1, len(columns) - 1), dtype=bool)
        self._uses, self._counting = np.zeros(self._there.shape, dtype=np.int64), Lock()

    def decode(self, row: int, column: int) -> np.ndarray:
        """Average one block: (height, width, 3)."""
        if self._followed is not None:
            return self._average_of(row, column, self._followed.made(row, column))
        top, bottom = 2 * int(self.rows[row]), 2 * int(self.rows[row + 1])
        left, right = 2 * int(self.columns[column]), 2 * int(self.columns[column + 1])
        place = left, top, right - left, bottom - top
        if not self._by_blocks:
            return self._average_of(row, column, self.image.window(*place))
        out, y, x = self._room_for(row, column)
        for down, across, part in self.image.parts(*place):
            _halve(np.ascontiguousarray(part), out, y + down.start // 2, x + across.start // 2)
        self._there[row, column] = True
        return out[y : y + (bottom - top) // 2, x : x + (right - left) // 2]

    def _average_of(self, row: int, column: int, pixels: np.ndarray) -> np.ndarray:
        out, y, x = self._room_for(row, column)
        _halve(np.ascontiguousarray(pixels), out, y, x)
        self._there[row, column] = True
        return out[y : y + len(pixels) // 2, x : x + pixels.shape[1] // 2]

    def _room_for(self, row: int, column: int) -> tuple[np.ndarray, int, int]:
        """Return an array for a block, and its place there."""
        top, left = int(self.rows[row]), int(self.columns[column])
        if self._whole is not None:
            return self._whole, top, left
        shape = int(self.rows[row + 1]) - top, int(self.columns[column + 1]) - left, 3
        return np.empty(shape, dtype=np.uint8), 0, 0

    def made(self, row: int, column: int, pixels: np.ndarray | None = None) -> np.ndarray:
        """Average a block, and keep it for those who need it: (height, width, 3).

        Parameters
        ----------
        row, column : int
        pixels : ndarray of uint8, of shape (height, width, 3), optional
            The block of the same place in the image, where it is at hand.
        """
        if pixels is not None:
            halved = self._average_of(row, column, pixels)
            if not self.is_whole:
                self._cache.put((row, column), halved)
        elif self._uses[row, column]:
            halved = self.block(row, column)
        else:
            return self.decode(row, column)
        with self._counting:  # its last reader may have been here already
            if not self._uses[row, column]:
                self._cache.drop((row, column))
        return halved

    def whole_with(self, top: int, bottom: int, left: int, right: int) -> np.ndarray | None:
        """Return all of the image, of which the blocks of these rows and columns are there.

        ``None`` if it is not held as a whole.
        """
        if self._whole is None:
            return None
        if not self._there[top:bottom, left:right].all():
            for row, column in product(range(top, bottom), range(left, right)):
                self.block(row, column)
        return self._whole

    @property
    def follows(self) -> bool:
        """Whether each block is made of the one of that place in the image, itself halved."""
        return self._followed is not None

    @property
    def is_whole(self) -> bool:
        """Whether all that has been averaged is there until the end."""
        return self._whole is not None

    @property
    def needed(self) -> np.ndarray:
        """Which blocks are going to be read, (rows, columns), of bool."""
        return self._uses > 0

    def expect(self, blocks: np.ndarray) -> None:
        """Count on it that blocks are going to be read once by each of these (``blocks_of``)."""
        for top, bottom, left, right in blocks.tolist():
            self._uses[top:bottom, left:right] += 1

    def release(self, top: int, bottom: int, left: int, right: int) -> None:
        """Drop those blocks of these rows and columns that were read for the last time."""
        if self.is_whole:
            return
        with self._counting:
            uses = self._uses[top:bottom, left:right]
            uses -= 1
            dropped = (np.argwhere(uses == 0) + np.array([top, left])).tolist()
        for row, column in dropped:
            self._cache.drop((row, column))

    def expect_source(self) -> None:
        """Count on it that the image's blocks are read, where it is halved itself."""
        if isinstance(self.image, HalvedImage) and not self.follows:
            made_of = [self.made_of(row, column) for row, column in np.argwhere(self.needed)]
            self.image.expect(np.array(made_of, dtype=np.int64))

    def release_source(self, row: int, column: int) -> None:
        """Drop the image's blocks that were read for the last time for this one."""
        if isinstance(self.image, HalvedImage) and not self.follows:
            self.image.release(*self.made_of(row, column))

    def blocks_of(self, corners: np.ndarray, side: int) -> np.ndarray:
        """Return the blocks that windows show, mirrored parts included.

        Parameters
        ----------
        corners : ndarray of int, of shape (n_windows, 2)
            Upper left corners (x, y) in pixels of this image.
        side : int
            Of all windows.

        Returns
        -------
        ndarray of int, of shape (n_windows, 4)
            The first row of blocks and the one after the last, and so the columns.
        """
        left, right = _shown_blocks(self.columns, corners[:, 0], side)
        top, bottom = _shown_blocks(self.rows, corners[:, 1], side)
        return np.stack([top, bottom + 1, left, right + 1], axis=1)

    def made_of(self, row: int, column: int) -> list[int]:
        """Return the blocks that a block averages, of the image halved, as ``blocks_of`` does."""
        found = []
        for mine, theirs, at in (
            (self.rows, self.image.rows, row),
            (self.columns, self.image.columns, column),
        ):
            shown = np.array([2 * mine[at], 2 * mine[at + 1] - 1])
            first, last = (np.searchsorted(theirs, shown, side="right") - 1).tolist()
            found += [first, last + 1]
        return found

    def ends_of(self, blocks: np.ndarray) -> np.ndarray:
        """Return lower right corners (x, y) of blocks, in pixels of the image itself: (n, 2)."""
        return self.factor * np.stack([self.columns[blocks[:, 3]], self.rows[blocks[:, 1]]], axis=1)


def _shown_blocks(edges: np.ndarray, start: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and the last block that each range shows of a line."""
    length, end = int(edges[-1]), start + side - 1
    low = np.where(end >= length, np.minimum(start, 2 * length - 1 - end), start)
    high = np.where(start < 0, np.maximum(end, -1 - start), end)
    low, high = np.clip(low, 0, length - 1), np.clip(high, 0, length - 1)
    found = [np.searchsorted(edges, each, side="right") - 1 for each in (low, high)]
    return found[0], found[1]


@compiled(inline="always")
def _mean(a: np.uint8, b: np.uint8, c: np.uint8, d: np.uint8) -> np.int32:
    total = np.int32(a) + np.int32(b) + np.int32(c) + np.int32(d)
    return np.int32((total + np.int32(2)) >> np.int32(2))


@compiled(nogil=False)  # it takes microseconds, as long as it takes to hand over the lock
def _halve(pixels: np.ndarray, out: np.ndarray, top: int, left: int) -> None:
    """Average over squares of two, rounded: (2 * height, 2 * width, 3) into a place of ``out``."""
    height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
    flat = pixels.reshape(pixels.shape[0], pixels.shape[1] * 3)
    lines = out.reshape(out.shape[0], out.shape[1] * 3)
    for y in range(height):
        upper, lower, line = flat[2 * y], flat[2 * y + 1], lines[top + y, 3 * left :]
        for x in range(width):  # the colours one by one, which compiles to vectors
            at, red, green, blue = 3 * x, 6 * x, 6 * x + 1, 6 * x + 2
            line[at] = _mean(upper[red], upper[red + 3], lower[red], lower[red + 3])
            line[at + 1] = _mean(upper[green], upper[green + 3], lower[green], lower[green + 3])
            line[at + 2] = _mean(upper[blue], upper[blue + 3], lower[blue], lower[blue + 3])
