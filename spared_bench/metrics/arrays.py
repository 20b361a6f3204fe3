"""What all metrics share: checks, and passes over large arrays in blocks.

A float64 copy of 300,000 spots x 128 genes takes 300 MB, and a metric wants several; a block of it
takes a few MB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from spared_bench.errors import ShapeMismatchError

_BLOCK_ENTRIES = 2**19
_LEAST_ROWS = 8  # columns of a large array lie apart in memory, so fewer at a time would be slow

Block = tuple[np.ndarray, np.ndarray, np.ndarray]


def checked(truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray) -> Block:
    """Return the three as arrays, the mask as bool.

    Raises
    ------
    ShapeMismatchError
        If they differ in shape, or are not two-dimensional.
    """
    truth, prediction = np.asarray(truth), np.asarray(prediction)
    mask = np.asarray(mask, dtype=bool)
    if truth.ndim != 2 or not truth.shape == prediction.shape == mask.shape:
        raise ShapeMismatchError(
            f"truth {truth.shape}, prediction {prediction.shape} and mask {mask.shape} must all be"
            " (n_spots, n_genes), with the same spots and genes in the same order."
        )
    return truth, prediction, mask


def blocks(truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray) -> Iterator[Block]:
    """Yield a few rows at a time, in float64, with 0 wherever the mask is False."""
    n_rows, n_columns = truth.shape
    step = max(_BLOCK_ENTRIES // max(n_columns, 1), _LEAST_ROWS)
    for start in range(0, n_rows, step):
        rows = slice(start, start + step)
        seen = mask[rows]
        yield (
            np.where(seen, truth[rows], 0.0).astype(np.float64, copy=False),
            np.where(seen, prediction[rows], 0.0).astype(np.float64, copy=False),
            seen,
        )


def for_rows(
    score: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
    truth: np.ndarray,
    prediction: np.ndarray,
    mask: np.ndarray,
) -> np.ndarray:
    """Score every row: ``score`` takes a block and returns one value per row of it."""
    scores = [score(*block) for block in blocks(*checked(truth, prediction, mask))]
    return np.concatenate(scores) if scores else np.empty(0)


def for_columns(
    score: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
    truth: np.ndarray,
    prediction: np.ndarray,
    mask: np.ndarray,
) -> np.ndarray:
    """Score every column, as ``for_rows`` does rows."""
    truth, prediction, mask = checked(truth, prediction, mask)
    return for_rows(score, truth.T, prediction.T, mask.T)


def row_means(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean of the measured entries of each row, (n_rows, 1); nan where there are none."""
    n_seen = mask.sum(axis=1, keepdims=True)
    total = values.sum(axis=1, keepdims=True)
    return np.divide(total, n_seen, out=np.full(total.shape, np.nan), where=n_seen > 0)


def centred(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Subtract from every row the mean of its measured entries; 0 where the mask is False."""
    return np.where(mask, values - row_means(values, mask), 0.0)


def constant_rows(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return where all measured entries of a row are exactly equal; True for one or none.

    Compared entry by entry: a variance of rounding errors is not a variance. A row with a nan or an
    infinite value is not constant.
    """
    highest = np.where(mask, values, -np.inf).max(axis=1, initial=-np.inf)
    lowest = np.where(mask, values, np.inf).min(axis=1, initial=np.inf)
    return (mask.sum(axis=1) == 0) | ((highest == lowest) & np.isfinite(highest))
