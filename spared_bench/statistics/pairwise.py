"""Which methods differ: matrices of p, one row and one column per method, 1 on the diagonal.

All are symmetric and carry the methods' names in the order of the matrix that came in. A p that a
test leaves undefined (two methods that agree everywhere) is 1.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


def holm(p_values: Sequence[float] | np.ndarray) -> np.ndarray:
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
    return float(_signed_rank_p(np.subtract(first, second, dtype=float)[:, None])[0])


def wilcoxon_each(differences: Sequence[np.ndarray]) -> list[float]:
    """Return p of the signed-rank test of each of several samples, those of one size together."""
    p = np.ones(len(differences))
    sizes = np.array([len(each) for each in differences])
    for size in np.unique(sizes[sizes > 0]):
        alike = sizes == size
        of_size = [each for each, one in zip(differences, alike, strict=True) if one]
        p[alike] = _signed_rank_p(np.column_stack(of_size))
    return list(map(float, p))


def _signed_rank_p(differences: np.ndarray) -> np.ndarray:
    """Return p of each column of differences: (n_blocks, n_pairs) to (n_pairs,).

    scipy takes many columns at once, a hundred times as quickly as one by one, but by one method:
    so those with zeros or ties, for which it has another one, are taken by themselves.
    """
    from scipy import stats

    size = np.sort(np.abs(differences), axis=0)
    differ = differences.any(axis=0)
    plain = differ & (size > 0).all(axis=0) & (np.diff(size, axis=0) > 0).all(axis=0)
    p = np.ones(differences.shape[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of small samples, which the page states itself
        if plain.any():
            p[plain] = stats.wilcoxon(differences[:, plain], axis=0).pvalue
        for pair in np.flatnonzero(differ & ~plain):
            p[pair] = stats.wilcoxon(differences[:, pair]).pvalue
    return p


def wilcoxon_holm(blocks: pd.DataFrame) -> pd.DataFrame:
    """Wilcoxon's signed-rank test of every pair over datasets, corrected by Holm.

    Parameters
    ----------
    blocks : DataFrame of shape (n_datasets, n_methods)
        Without nan.
    """
    values = blocks.to_numpy(dtype=float)
    first, second = np.triu_indices(values.shape[1], 1)
    return _corrected(_signed_rank_p(values[:, first] - values[:, second]), blocks)


def conover_friedman(blocks: pd.DataFrame) -> pd.DataFrame:
    """Conover's test of rank sums after Friedman's, corrected by Holm (scikit-posthocs).

    Where all datasets agree on the ranks, nothing is left that these could vary by, and p is 0 for
    methods that differ: as of Iman and Davenport's F.
    """
    if len(blocks) < 2 or blocks.shape[1] < 2:
        return _labelled(np.ones((blocks.shape[1],) * 2), blocks)
    ranks = blocks.rank(axis=1).to_numpy()
    if (ranks == ranks[0]).all():  # else 0 / 0 to rounding, which may be below 0
        return _labelled((ranks[0][:, None] == ranks[0]).astype(float), blocks)
    import scikit_posthocs

    # Corrected here: statsmodels, which it asks, collects garbage each time, half a second long.
    found = _blockwise(scikit_posthocs.posthoc_conover_friedman, blocks).to_numpy()
    return _corrected(found[np.triu_indices(len(found), 1)], blocks)


def nemenyi(blocks: pd.DataFrame) -> pd.DataFrame:
    """Nemenyi's test of average ranks, the one behind the critical difference."""
    if len(blocks) < 2 or blocks.shape[1] < 2:
        return _labelled(np.ones((blocks.shape[1],) * 2), blocks)
    import scikit_posthocs

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


def _corrected(p_values: np.ndarray, like: pd.DataFrame) -> pd.DataFrame:
    """Return the matrix of p of all pairs, corrected by Holm; they come in the order of rows."""
    matrix = np.ones((like.shape[1],) * 2)
    matrix[np.triu_indices(len(matrix), 1)] = holm(p_values)
    return _labelled(np.minimum(matrix, matrix.T), like)


def _labelled(values: np.ndarray, like: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    filled = np.where(np.isnan(values), 1.0, values)
    np.fill_diagonal(filled, 1.0)
    return pd.DataFrame(filled, index=like.columns, columns=like.columns)
