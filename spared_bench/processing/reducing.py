"""Windows that are made smaller: resized in whole numbers, the same on every machine.

To the rounding of one level this is what Pillow's bilinear resizing gives.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from spared_bench.processing.compiled import compiled

_BITS = 15  # of the weights, which sum up to 2**15
_HALF = 1 << (_BITS - 1)
_TOGETHER = 3  # rows that are weighed together
_PAIRS = 8  # of rows that are turned together


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
    part = 0, 0, *window.shape[:2]
    return resized_part(np.ascontiguousarray(window), part, left, top, side, size)


def resized_part(
    pixels: np.ndarray,
    part: tuple[int, int, int, int],
    left: float,
    top: float,
    side: float,
    size: int,
) -> np.ndarray:
    """Resize a square of a part of an image, as if the part were all that there is.

    Parameters
    ----------
    pixels : ndarray of uint8, of shape (height, width, 3)
        The image, contiguous. It is mirrored where the part reaches beyond it.
    part : tuple of int
        First row and column, height and width.
    left, top, side, size
        As ``resized`` takes them, in pixels of the part.
    """
    y, x, height, width = part
    rows = _taps(top, side, height, size, y, pixels.shape[0])
    columns = _taps(left, side, width, size, x, pixels.shape[1])
    resampled: np.ndarray = _resampled(
        pixels, rows.begin, columns.begin, columns.length,
        rows.first, rows.weights, columns.first, columns.weights,
    )  # fmt: skip
    return resampled


class _Taps(NamedTuple):
    """Which pixels of a line are weighed, and how: ``first`` counts from ``begin`` on."""

    begin: int
    length: int
    first: np.ndarray
    weights: np.ndarray


def _taps(start: float, side: float, extent: int, size: int, begin: int, length: int) -> _Taps:
    """Return the taps of a part of a line, which begins at ``begin`` and has ``extent`` pixels."""
    if begin >= 0 and begin + extent <= length:
        return _Taps(begin, extent, *_weights(start, side, extent, size))
    return _mirrored(start, side, extent, size, begin, length)


@lru_cache(maxsize=512)
def _mirrored(start: float, side: float, extent: int, size: int, begin: int, length: int) -> _Taps:
    """Return the same of a part that reaches beyond a line, which is mirrored there.

    What a pixel weighs where it is seen twice adds up, so that no pixel need be copied, and the
    sums are those of the copies.
    """
    first, weights = _weights(start, side, extent, size)
    low, folded = _folded(first, weights, begin, length)
    begin, end = int(low.min()), int((low + _reach(folded)).max())
    return _Taps(begin, end - begin, low - begin, folded)


@compiled()
def _folded(
    first: np.ndarray, weights: np.ndarray, begin: int, length: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the first pixel of each place, and the weights of those that follow."""
    low, folded = np.full(len(first), length), np.zeros_like(weights)
    for to in range(len(first)):
        for again in range(2):
            for k in range(weights.shape[1]):
                if weights[to, k]:
                    place = (begin + first[to] + k) % (2 * length)
                    place = min(place, 2 * length - 1 - place)
                    if again:
                        folded[to, place - low[to]] += weights[to, k]
                    else:
                        low[to] = min(low[to], place)
    return low, folded


def _reach(weights: np.ndarray) -> np.ndarray:
    return weights.shape[1] - (weights[:, ::-1] > 0).argmax(axis=1)


def _filled(n: int) -> int:
    return -(-n // _TOGETHER) * _TOGETHER


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
    places = first[:, None] + np.arange(_filled(int((last - first).max())))
    weights = np.maximum(1 - np.abs(places + 0.5 - centres[:, None]) / reach, 0)
    weights[places >= last[:, None]] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    return first, np.rint(weights * 2**_BITS).astype(np.int32)


@compiled()
def _weighed_and_turned(
    rows: np.ndarray,
    y0: int,
    x0: int,
    width: int,
    first: np.ndarray,
    weights: np.ndarray,
    step: int,
) -> np.ndarray:
    """Weigh neighbouring rows and turn the sums: (n, all * step) to (width, size), uint32.

    Each number holds the three colours of a pixel, whose rows have ``step`` bytes; of the rows
    from ``y0`` on, ``width`` pixels count, from ``x0`` on. Some rows at a time are turned, so that
    what is read and what is written lie close together, and two of them as one number, which
    halves the moves; if ``size`` is odd, a column without meaning follows.
    """
    size, begin, length = len(first), x0 * step, width * step
    out = np.empty((width, (size + 1) // 2), dtype=np.uint64)
    upper, lower = np.empty(length, dtype=np.int32), np.empty(length, dtype=np.int32)
    few = np.empty((_PAIRS, width), dtype=np.uint64)
    for left in range(0, out.shape[1], _PAIRS):
        n = min(_PAIRS, out.shape[1] - left)
        for pair in range(n):
            y = 2 * (left + pair)
            next_y = min(y + 1, size - 1)
            _weigh(rows, begin, y0 + first[y], weights[y], upper)
            _weigh(rows, begin, y0 + first[next_y], weights[next_y], lower)
            if step == 3:  # known, as in `_turn`
                _pack(upper, lower, few[pair], 3)
            else:
                _pack(upper, lower, few[pair], 4)
        _turn(few, n, out, left)
    return out.view(np.uint32)


@compiled(inline="always")
def _weigh(rows: np.ndarray, begin: int, first: int, weights: np.ndarray, sums: np.ndarray) -> None:
    """Weigh rows from the first one on, as many of their bytes as there are sums."""
    length = len(sums)
    for k in range(0, len(weights), _TOGETHER):  # in two thirds of the time of one by one
        at, one, two, three = first + k, weights[k], weights[k + 1], weights[k + 2]
        if k and not (one or two or three):
            break
        a = rows[at, begin : begin + length]
        b = rows[at + 1 if two else at, begin : begin + length]
        c = rows[at + 2 if three else at, begin : begin + length]
        for i in range(length):
            so_far = sums[i] if k else np.int32(_HALF)
            weighed = one * np.int32(a[i]) + two * np.int32(b[i]) + three * np.int32(c[i])
            sums[i] = so_far + weighed


@compiled(inline="always")
def _turn(few: np.ndarray, n: int, out: np.ndarray, left: int) -> None:
    """Write ``n`` rows as columns from ``left`` on."""
    if n == _PAIRS:  # a number that is known here compiles to vectors
        for x in range(few.shape[1]):
            for pair in range(_PAIRS):
                out[x, left + pair] = few[pair, x]
    else:
        for x in range(few.shape[1]):
            for pair in range(n):
                out[x, left + pair] = few[pair, x]


@compiled(inline="always")
def _pixel(sums: np.ndarray, at: int) -> np.uint32:
    red, green, blue = sums[at] >> _BITS, sums[at + 1] >> _BITS, sums[at + 2] >> _BITS
    return np.uint32(red | (green << 8) | (blue << 16))


@compiled(inline="always")
def _pack(upper: np.ndarray, lower: np.ndarray, line: np.ndarray, step: int) -> None:
    """Put the colours of two pixels, one above the other, into one number."""
    for x in range(len(line)):
        two = np.uint64(_pixel(lower, step * x)) << np.uint64(32)
        line[x] = np.uint64(_pixel(upper, step * x)) | two


@compiled()
def _resampled(
    pixels: np.ndarray,
    y0: int,
    x0: int,
    width: int,
    top: np.ndarray,
    down: np.ndarray,
    left: np.ndarray,
    across: np.ndarray,
) -> np.ndarray:
    """Weigh rows, then columns, in whole numbers: the same on every machine."""
    size, flat = len(top), pixels.reshape(pixels.shape[0], pixels.shape[1] * 3)
    turned = _weighed_and_turned(flat, y0, x0, width, top, down, 3)
    square = _weighed_and_turned(turned.view(np.uint8), 0, 0, size, left, across, 4)
    out = np.empty((size, 3 * size), dtype=np.uint8)
    for y in range(size):
        packed, line = square[y], out[y]
        for x in range(size):
            pixel = packed[x]
            line[3 * x] = pixel & 255
            line[3 * x + 1] = (pixel >> 8) & 255
            line[3 * x + 2] = (pixel >> 16) & 255
    return out.reshape(size, size, 3)
