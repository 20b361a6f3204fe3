"""Intervals by resampling: over datasets for a board, over slides for one score."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

RESAMPLES = 2_000
FEWEST_DATASETS = 5  # of fewer, resampling shows the few values there are and no spread


def over_datasets(
    matrix: pd.DataFrame, *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> pd.DataFrame:
    """Percentile intervals of every method's mean over datasets.

    The same resampled datasets serve all methods, so that two intervals can be compared.

    Parameters
    ----------
    matrix : DataFrame of shape (n_datasets, n_methods)
        nan where a method has no result: its mean is over what a resample has of it.

    Returns
    -------
    DataFrame of shape (n_methods, 2)
        Columns ``low`` and ``high``; nan for a method with fewer than five datasets.
    """
    import pandas as pd

    values = matrix.to_numpy(dtype=float)
    seen = np.isfinite(values)
    n = len(values)
    drawn = np.random.default_rng(seed).integers(n, size=(resamples, n)) if n else None
    bounds = np.full((values.shape[1], 2), np.nan)
    if drawn is not None:
        times = np.stack([np.bincount(each, minlength=n) for each in drawn]).astype(float)
        with np.errstate(invalid="ignore"):
            means = times @ np.where(seen, values, 0) / (times @ seen)
        enough = seen.sum(axis=0) >= FEWEST_DATASETS
        tails = [(1 - level) / 2, (1 + level) / 2]
        if enough.any():
            bounds[enough] = np.nanquantile(means[:, enough], tails, axis=0).T
    return pd.DataFrame(bounds, index=matrix.columns, columns=["low", "high"])


def over_slides(
    scores: Sequence[float] | np.ndarray, *, level: float = 0.95, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """Percentile interval of the mean over a dataset's slides; nan for fewer than two slides."""
    values = np.asarray(scores, dtype=float)
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return float("nan"), float("nan")
    means = np.sort(_shares(len(values), resamples) @ values)
    low = means[int(resamples * (1 - level) / 2)]
    high = means[int(np.ceil(resamples * (1 + level) / 2)) - 1]
    return float(low), float(high)


@lru_cache(maxsize=128)
def _shares(n: int, resamples: int) -> np.ndarray:
    """Return which share each of n values has of each resample, (resamples, n)."""
    drawn = np.random.default_rng(n).integers(n, size=(resamples, n))
    return np.stack([np.bincount(each, minlength=n) for each in drawn]) / n
