"""Which methods differ: matrices of p, one row and one column per method, 1 on the diagonal.

All are symmetric and carry the methods' names in the order of the matrix that came in. A p that a
test leaves undefined (two methods that agree everywhere) is 1.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Correct for the number of tests by Holm's steps (Scand. J. Stat. 6, 1979).

    Returns
    -------
    ndarray of shape (n_tests,)
        At most 1, in the order given.
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order])
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(steps, 1)
    return corrected


def wilcoxon_p(first: np.ndarray, second: np.ndarray) -> float:
    """Two-sided signed-rank test of paired values; exact where scipy can; 1 where all are equal."""
    from scipy import stats

    difference = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    if not difference.any():
        return 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of small samples, which the page states itself
        return float(stats.wilcoxon(difference).pvalue)


def wilcoxon_holm(blocks: pd.DataFrame) -> pd.DataFrame:
    """Wilcoxon's signed-rank test of every pair over datasets, corrected by Holm.

    Parameters
    ----------
    blocks : DataFrame of shape (n_datasets, n_methods)
        Without nan.
    """
    values = blocks.to_numpy(dtype=float)
    pairs = list(combinations(range(values.shape[1]), 2))
    corrected = holm([wilcoxon_p(values[:, i], values[:, j]) for i, j in pairs])
    matrix = np.ones((values.shape[1],) * 2)
    for (i, j), p in zip(pairs, corrected, strict=True):
        matrix[i, j] = matrix[j, i] = p
    return _labelled(matrix, blocks)


def conover_friedman(blocks: pd.DataFrame) -> pd.DataFrame:
    """Conover's test of rank sums after Friedman's, corrected by Holm (scikit-posthocs)."""
    import scikit_posthocs

    if len(blocks) < 2 or blocks.shape[1] < 2:
        return _labelled(np.ones((blocks.shape[1],) * 2), blocks)

    def test(values: np.ndarray) -> pd.DataFrame:
        return scikit_posthocs.posthoc_conover_friedman(values, p_adjust="holm")

    return _blockwise(test, blocks)


def nemenyi(blocks: pd.DataFrame) -> pd.DataFrame:
    """Nemenyi's test of average ranks, the one behind the critical difference."""
    import scikit_posthocs

    if len(blocks) < 2 or blocks.shape[1] < 2:
        return _labelled(np.ones((blocks.shape[1],) * 2), blocks)
    return _blockwise(scikit_posthocs.posthoc_nemenyi_friedman, blocks)


def dunn(matrix: pd.DataFrame, correction: str = "bonferroni") -> pd.DataFrame:
    """Dunn's test of all values of every two methods, as published with the benchmark.

    It takes the values for independent samples: that two methods were scored on the same datasets
    is not used, and a dataset that is hard for all makes the test weaker. It is here for comparison
    with the paper; ``wilcoxon_holm`` uses the pairing.

    Parameters
    ----------
    matrix : DataFrame of shape (n_datasets, n_methods)
        Gaps are allowed, since nothing is paired.
    correction : str
        As in scikit-posthocs, which corrects nothing unless told.
    """
    import scikit_posthocs

    samples = [values.dropna().to_numpy(dtype=float) for _, values in matrix.items()]
    if len(samples) < 2 or min(map(len, samples)) == 0:
        return _labelled(np.ones((len(samples),) * 2), matrix)
    with np.errstate(all="ignore"):  # values that are all equal have no variance: p is 1
        found = scikit_posthocs.posthoc_dunn(samples, p_adjust=correction).to_numpy()
    return _labelled(found, matrix)


def _blockwise(test: Callable[[np.ndarray], pd.DataFrame], blocks: pd.DataFrame) -> pd.DataFrame:
    with np.errstate(all="ignore"):
        # Positions instead of names: strangers' names may repeat or sort otherwise.
        found = test(blocks.to_numpy(dtype=float)).to_numpy(dtype=float)
    return _labelled(found, blocks)


def _labelled(values: np.ndarray, like: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    filled = np.where(np.isnan(values), 1.0, values)
    np.fill_diagonal(filled, 1.0)
    return pd.DataFrame(filled, index=like.columns, columns=like.columns)
