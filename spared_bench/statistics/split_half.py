"""Would other genes, or other slides, rank the methods alike: split-half stability of ranks.

The units (genes or slides) of one dataset are dealt into two halves, at random and many times; the
methods are ranked by their means in either half, and the two rankings are compared (Spearman). As
each half has half of the units, the reliability of the whole is estimated from it by the formula of
Spearman and Brown (Br. J. Psychol. 1910), 2 r / (1 + r).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

HALVES = 1_000
FEWEST_UNITS = 4
FEWEST_METHODS = 3


@dataclass(frozen=True)
class Stability:
    """How alike two halves rank the methods.

    Parameters
    ----------
    correlation : float
        Mean Spearman correlation of the two rankings over the deals.
    low, high : float
        The middle 95 % of the deals.
    reliability : float
        Of the ranking by all units, after Spearman and Brown; nan for a correlation of -1.
    same_best : float
        The share of deals in which both halves have the same best method.
    n_units, n_methods : int
        What went in: units without a gap, and methods.
    """

    correlation: float
    low: float
    high: float
    reliability: float
    same_best: float
    n_units: int
    n_methods: int


def split_half(
    matrix: pd.DataFrame, *, halves: int = HALVES, seed: int = 0, lower_is_better: bool = False
) -> Stability | None:
    """Compare the rankings of methods by two halves of the units.

    Parameters
    ----------
    matrix : DataFrame of shape (n_units, n_methods)
        Scores of genes, or of slides. Units at which a method has no score are left out.
    halves : int
        How often the units are dealt.
    seed : int
        Of the deals.
    lower_is_better : bool
        Which method is best; the correlation is the same either way.

    Returns
    -------
    Stability or None
        ``None`` for fewer than four units or three methods. Deals in which all methods tie in one
        half have no correlation and are left out.
    """
    values = matrix.to_numpy(dtype=float)
    values = values[np.isfinite(values).all(axis=1)]
    n_units, n_methods = values.shape
    if n_units < FEWEST_UNITS or n_methods < FEWEST_METHODS:
        return None
    if lower_is_better:
        values = -values
    rng = np.random.default_rng(seed)
    found, same = [], []
    for _ in range(halves):
        order = rng.permutation(n_units)
        first = values[order[: n_units // 2]].mean(axis=0)
        second = values[order[n_units // 2 :]].mean(axis=0)
        same.append(bool(first.argmax() == second.argmax()))
        if np.ptp(first) > 0 and np.ptp(second) > 0:
            found.append(_rank_correlation(first, second))
    if not found:
        return None
    mean = float(np.mean(found))
    low, high = np.quantile(found, [0.025, 0.975])
    whole = 2 * mean / (1 + mean) if mean > -1 else float("nan")
    return Stability(mean, float(low), float(high), whole, float(np.mean(same)), n_units, n_methods)


def _rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    from scipy.stats import rankdata

    return float(np.corrcoef(rankdata(first), rankdata(second))[0, 1])
