"""The order in which the published library puts genes that tie.

It sorts with ``pandas.Series.sort_values(ascending=False)``: an unstable sort, reversed. What that
does to equal values is not said by the values: it depends on where they stand, on numpy's version
and, since numpy 1.25 (sorting with AVX2, AVX-512, or neither), on the processor. The benchmark was
made under Python 3.8, whose last numpy is 1.24, so one order is the published one: that of numpy's
introsort. It is written out here, so that every machine gives it.

The algorithm is Musser's (Introspective sorting and selection algorithms, 1997): quicksort with the
median of three, insertion sort for what is short, heapsort for what is too deep; with numpy's
constants.
"""

from __future__ import annotations

import numpy as np

_SHORT = 15  # positions between the ends, up to which numpy sorts by insertion


def published_order(values: np.ndarray) -> np.ndarray:
    """Return positions by descending value, and equal ones as numpy before 1.25 leaves them.

    Parameters
    ----------
    values : ndarray of float, of shape (n,)
        Finite, in the order of the file: it decides how equal ones come out.

    Returns
    -------
    ndarray of int, of shape (n,)
    """
    backwards = np.asarray(values, dtype=np.float64)[::-1]
    ascending = np.array(_introsort(backwards.tolist()), dtype=np.int64)
    return (len(backwards) - 1 - ascending)[::-1]


def _introsort(v: list[float]) -> list[int]:
    """Return positions by ascending value."""
    order = list(range(len(v)))
    low, high, depth = 0, len(v) - 1, 2 * max(len(v).bit_length() - 1, 0)
    waiting: list[tuple[int, int, int]] = []
    while True:
        if depth < 0:  # asked only here, not while a part is halved
            _heapsort(v, order, low, high)
            high = low
        while high - low > _SHORT:
            middle = _partition(v, order, low, high)
            depth -= 1
            # The longer part waits, so that few parts wait at a time.
            if middle - low < high - middle:
                waiting.append((middle + 1, high, depth))
                high = middle - 1
            else:
                waiting.append((low, middle - 1, depth))
                low = middle + 1
        _insert(v, order, low, high)
        if not waiting:
            return order
        low, high, depth = waiting.pop()


def _partition(v: list[float], order: list[int], low: int, high: int) -> int:
    """Put smaller values before a median of three and larger ones behind; return where it is."""
    middle = low + (high - low) // 2
    for left, right in ((low, middle), (middle, high), (low, middle)):
        if v[order[right]] < v[order[left]]:
            order[left], order[right] = order[right], order[left]
    pivot = v[order[middle]]
    order[middle], order[high - 1] = order[high - 1], order[middle]
    left, right = low, high - 1
    while True:
        left += 1
        while v[order[left]] < pivot:
            left += 1
        right -= 1
        while pivot < v[order[right]]:
            right -= 1
        if left >= right:
            break
        order[left], order[right] = order[right], order[left]
    order[left], order[high - 1] = order[high - 1], order[left]
    return left


def _insert(v: list[float], order: list[int], low: int, high: int) -> None:
    """Sort a stretch by insertion, which keeps equal values in order."""
    order[low : high + 1] = sorted(order[low : high + 1], key=v.__getitem__)


def _heapsort(v: list[float], order: list[int], low: int, high: int) -> None:
    """Sort a stretch with a heap whose largest value is at its start."""

    def sink(root: int, value: int, end: int) -> None:
        while (child := 2 * root + 1) < end:
            if child + 1 < end and v[heap[child]] < v[heap[child + 1]]:
                child += 1
            if not v[value] < v[heap[child]]:
                break
            heap[root] = heap[child]
            root = child
        heap[root] = value

    heap = order[low : high + 1]
    for root in range(len(heap) // 2 - 1, -1, -1):
        sink(root, heap[root], len(heap))
    for end in range(len(heap) - 1, 0, -1):
        value, heap[end] = heap[end], heap[0]
        sink(0, value, end)
    order[low : high + 1] = heap
