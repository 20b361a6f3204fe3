"""Windows that are made smaller: resized in whole numbers, large ones from a halved image.

A window that shrinks three times or more holds far more pixels than are kept of it, and those of
neighbouring spots overlap. So the image is halved once, or several times, block by block as it is
decoded, and such windows are resized from that, as Pillow does for thumbnails (``reducing_gap``
of 1.5 to 3). That differs from resizing all pixels by a few levels at sharp edges; all else is
what Pillow's bilinear resizing gives, to the rounding of one level. No window depends on what else
is cut.
"""

from __future__ import annotations

import math
from functools import lru_cache, partial

import numpy as np

from spared_bench.processing.blocks import BlockImage, even_edges, mirrored_runs
from spared_bench.processing.colours import Colours
from spared_bench.processing.compiled import compiled

#: Windows that are less wide are resized from all their pixels, which costs next to nothing.
LARGE = 512
_GAP = 1.5  # at least so many pixels become one
_BLOCK = 128  # rows of a halved block
_ACROSS = 1024  # columns at least
_BITS = 15  # of the weights, which sum up to 2**15


def halvings_of(side: int, size: int) -> int:
    """Return how often an image is halved for a window."""
    return max(0, math.floor(math.log2(side / (_GAP * size)))) if side >= LARGE else 0


class HalvedImage(BlockImage):
    """An image averaged over squares of two pixels; an odd row or column at its end is left out.

    Parameters
    ----------
    image : BlockImage
        Itself halved, for a quarter of the side.
    """

    def __init__(self, image: BlockImage) -> None:
        self.image = image
        self.factor: int = 2 * getattr(image, "factor", 1)
        # Twice as wide as those of the image, so that each of these is asked for by few.
        across = max(_ACROSS, int(np.diff(image.columns).max()))
        rows, columns = even_edges(image.height // 2, _BLOCK), even_edges(image.width // 2, across)
        super().__init__(image.path, rows, columns, 3, np.dtype(np.uint8), Colours(top=255))

    def decode(self, row: int, column: int) -> np.ndarray:
        """Average one block: (height, width, 3)."""
        top, bottom = 2 * int(self.rows[row]), 2 * int(self.rows[row + 1])
        left, right = 2 * int(self.columns[column]), 2 * int(self.columns[column + 1])
        pixels = self.image.window(left, top, right - left, bottom - top)
        halved: np.ndarray = _halved(np.ascontiguousarray(pixels))
        return halved

    def hold(self, row: int, column: int) -> None:
        """Average a block and keep it for the windows that need it."""
        self._cache.obtain((row, column), partial(self.decode, row, column))

    def blocks_of(self, left: int, top: int, side: int) -> set[tuple[int, int]]:
        """Return row and column of the blocks that a window shows, mirrored parts included."""
        rows = _blocks(self.rows, top, side, self.height)
        columns = _blocks(self.columns, left, side, self.width)
        return {(row, column) for row in rows for column in columns}


def _blocks(edges: np.ndarray, start: int, side: int, length: int) -> range:
    first, last = start, start + side - 1
    if first < 0 or last >= length:
        runs = list(mirrored_runs(start, side, length))
        first, last = min(run.low for run in runs), max(run.high for run in runs) - 1
    found = np.searchsorted(edges, [first, last], side="right") - 1
    return range(int(found[0]), int(found[1]) + 1)


@compiled(inline="always")
def _mean(a: np.uint8, b: np.uint8, c: np.uint8, d: np.uint8) -> np.int32:
    total = np.int32(a) + np.int32(b) + np.int32(c) + np.int32(d)
    return np.int32((total + np.int32(2)) >> np.int32(2))


@compiled()
def _halved(pixels: np.ndarray) -> np.ndarray:
    """Average over squares of two: (2 * height, 2 * width, 3) to (height, width, 3), rounded."""
    height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
    out = np.empty((height, width, 3), dtype=np.uint8)
    flat = pixels.reshape(pixels.shape[0], pixels.shape[1] * 3)
    for y in range(height):
        upper, lower, row = flat[2 * y], flat[2 * y + 1], out[y]
        for x in range(width):  # the colours one by one, which compiles to vectors
            red, green, blue = 6 * x, 6 * x + 1, 6 * x + 2
            row[x, 0] = _mean(upper[red], upper[red + 3], lower[red], lower[red + 3])
            row[x, 1] = _mean(upper[green], upper[green + 3], lower[green], lower[green + 3])
            row[x, 2] = _mean(upper[blue], upper[blue + 3], lower[blue], lower[blue + 3])
    return out


def resized(window: np.ndarray, left: float, top: float, side: float, size: int) -> np.ndarray:
    """Resize a square that need not begin or end at whole pixels, averaging over its pixels.

    Parameters
    ----------
    window : ndarray of uint8, of shape (height, width, 3)
        Holds the square.
    left, top, side : float
        Of the square, in pixels of ``window``.
    size : int

    Returns
    -------
    ndarray of uint8, of shape (size, size, 3)
    """
    rows = _weights(top, side, window.shape[0], size)
    columns = _weights(left, side, window.shape[1], size)
    resampled: np.ndarray = _resampled(np.ascontiguousarray(window), *rows, *columns)
    return resampled


@lru_cache(maxsize=64)
def _weights(start: float, side: float, length: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return first pixel and weights of each place: (size,) and (size, n), of sum 2**15.

    The weights are a triangle twice as wide as a place, cut off at the ends, as Pillow's are.
    """
    scale = side / size
    reach = max(scale, 1.0)
    centres = start + (np.arange(size) + 0.5) * scale
    low, high = math.floor(start), min(math.ceil(start + side), length)
    first = np.clip(np.floor(centres - reach + 0.5), low, high - 1).astype(np.int64)
    last = np.clip(np.floor(centres + reach + 0.5), low + 1, high).astype(np.int64)
    n = int((last - first).max())
    places = first[:, None] + np.arange(n)
    weights = np.maximum(1 - np.abs(places + 0.5 - centres[:, None]) / reach, 0)
    weights[places >= last[:, None]] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    return first, np.rint(weights * 2**_BITS).astype(np.int32)


@compiled()
def _weighed(rows: np.ndarray, first: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return weighted sums of neighbouring rows: (n, length) to (size, length), uint8."""
    size, length = len(first), rows.shape[1]
    out = np.empty((size, length), dtype=np.uint8)
    sums = np.empty(length, dtype=np.int32)
    for y in range(size):
        sums[:] = 1 << (_BITS - 1)
        for k in range(weights.shape[1]):
            weight = weights[y, k]
            if weight:
                row = rows[first[y] + k]
                for x in range(length):
                    sums[x] += weight * np.int32(row[x])
        for x in range(length):
            out[y, x] = min(sums[x] >> _BITS, 255)
    return out


@compiled()
def _resampled(
    window: np.ndarray, top: np.ndarray, down: np.ndarray, left: np.ndarray, across: np.ndarray
) -> np.ndarray:
    """Weigh rows, then columns, in whole numbers: the same on every machine."""
    size, width = len(top), window.shape[1]
    tall = _weighed(window.reshape(window.shape[0], width * 3), top, down)
    turned = np.empty((width, 3 * size), dtype=np.uint8)  # so that columns are weighed as rows
    for x in range(width):
        for c in range(3):
            for y in range(size):
                turned[x, c * size + y] = tall[y, 3 * x + c]
    square = _weighed(turned, left, across)
    out = np.empty((size, size, 3), dtype=np.uint8)
    for x in range(size):
        for c in range(3):
            for y in range(size):
                out[y, x, c] = square[x, c * size + y]
    return out
