"""How large a difference is, beside whether it is one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


def rank_biserial(first: np.ndarray, second: np.ndarray) -> float:
    """Matched-pairs rank-biserial correlation of paired values (Kerby 2014).

    Parameters
    ----------
    first, second : ndarray of shape (n_datasets,)
        Errors, lower being better.

    Returns
    -------
    float
        In [-1, 1]: the signed-rank sum over its largest value; positive where ``first`` is better.
        nan where the two are equal everywhere.
    """
    from scipy import stats

    gain = np.asarray(second, dtype=float) - np.asarray(first, dtype=float)
    gain = gain[gain != 0]
    if not len(gain):
        return math.nan
    ranks = stats.rankdata(np.abs(gain))
    return float((ranks * np.sign(gain)).sum() / ranks.sum())


def rank_biserial_matrix(blocks: pd.DataFrame) -> pd.DataFrame:
    """Return ``rank_biserial`` of every pair; positive where the row's method is better."""
    import pandas as pd

    values = blocks.to_numpy(dtype=float)
    k = values.shape[1]
    matrix = np.full((k, k), math.nan)
    for i in range(k):
        for j in range(i):
            matrix[i, j] = rank_biserial(values[:, i], values[:, j])
            matrix[j, i] = -matrix[i, j]
    return pd.DataFrame(matrix, index=blocks.columns, columns=blocks.columns)
