"""Is there any difference at all: Friedman's test, and Iman and Davenport's form of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spared_bench.statistics.summaries import average_ranks

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Friedman:
    """Friedman's test with the correction for ties, and Iman and Davenport's F.

    Parameters
    ----------
    n_datasets, n_methods : int
    statistic, p : float
        Chi-squared with ``n_methods - 1`` degrees of freedom; nan for fewer than two datasets or
        three methods, or where all values of every dataset are equal.
    f_statistic, f_p : float
        Iman and Davenport: F with ``n_methods - 1`` and ``(n_methods - 1) (n_datasets - 1)``.
        Infinite, with p of 0, where all datasets agree; nan where Friedman's is.
    """

    n_datasets: int
    n_methods: int
    statistic: float = math.nan
    p: float = math.nan
    f_statistic: float = math.nan
    f_p: float = math.nan


def friedman(blocks: pd.DataFrame) -> Friedman:
    """Test whether the methods' ranks differ beyond chance.

    Parameters
    ----------
    blocks : DataFrame of shape (n_datasets, n_methods)
        Without nan.

    References
    ----------
    Friedman, JASA 32 (1937); Iman and Davenport, Comm. Stat. A9 (1980).
    """
    n, k = blocks.shape
    if n < 2 or k < 3 or bool((blocks.nunique(axis=1) == 1).all()):
        return Friedman(n, k)
    from scipy import stats

    found = stats.friedmanchisquare(*blocks.to_numpy(dtype=float).T)
    statistic = float(found.statistic)
    rest = n * (k - 1) - statistic
    f_statistic = (n - 1) * statistic / rest if rest > 1e-9 * n * (k - 1) else math.inf
    f_p = float(stats.f.sf(f_statistic, k - 1, (k - 1) * (n - 1)))
    return Friedman(n, k, statistic, float(found.pvalue), f_statistic, f_p)


def critical_difference(n_datasets: int, n_methods: int, alpha: float = 0.05) -> float:
    """Return the smallest difference of average ranks that Nemenyi's test calls significant.

    ``q * sqrt(k (k + 1) / (6 n))``, q being the upper point of the studentized range over sqrt(2).
    """
    from scipy import stats

    q = stats.studentized_range.ppf(1 - alpha, n_methods, math.inf) / math.sqrt(2)
    return float(q * math.sqrt(n_methods * (n_methods + 1) / (6 * n_datasets)))


def cliques(ranks: pd.Series, difference: float) -> list[tuple[str, ...]]:
    """Return the bars of a critical-difference diagram.

    Each is a largest group of two or more methods, in the order of their ranks, of which no two
    differ by ``difference`` or more.
    """
    ordered = ranks.sort_values(kind="stable")
    names, values = list(map(str, ordered.index)), ordered.to_numpy()
    found: list[tuple[int, int]] = []
    for first in range(len(names)):
        last = max(i for i in range(len(names)) if values[i] - values[first] < difference)
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return [tuple(names[first : last + 1]) for first, last in found]


@dataclass(frozen=True)
class Reach:
    """The smallest p that a test could give with so few datasets.

    Parameters
    ----------
    test : str
    smallest_p : float
        After correction for the number of pairs, where the test compares pairs.
    speaks : bool
        Whether that is below the level.
    """

    test: str
    smallest_p: float
    speaks: bool


def reach(n_datasets: int, n_methods: int, alpha: float = 0.05) -> list[Reach]:
    """Say which tests can find anything, were all datasets to agree perfectly.

    Of Friedman's test it is the chance that independent rankings all agree, ``(k!) ** (1 - n)``;
    of Wilcoxon's ``2 ** (1 - n)`` times the number of pairs (Holm's first step); of Nemenyi's the p
    of methods that are first and last everywhere.
    """
    from scipy import stats

    n, k = n_datasets, n_methods
    pairs = k * (k - 1) // 2
    found = {"Friedman": 1.0, "Wilcoxon with Holm": 1.0, "Nemenyi": 1.0}
    if n >= 1 and k >= 2:
        found["Friedman"] = math.exp((1 - n) * math.lgamma(k + 1)) if k >= 3 else 1.0
        found["Wilcoxon with Holm"] = min(1.0, pairs * 2.0 ** (1 - n))
        farthest = (k - 1) / math.sqrt(k * (k + 1) / (6 * n)) * math.sqrt(2)
        found["Nemenyi"] = float(stats.studentized_range.sf(farthest, k, math.inf))
    return [Reach(test, p, p < alpha) for test, p in found.items()]


def rank_table(blocks: pd.DataFrame, alpha: float = 0.05) -> tuple[pd.Series, float, list]:
    """Return average ranks, the critical difference and the cliques: all that a diagram shows."""
    ranks = average_ranks(blocks)
    difference = critical_difference(len(blocks), blocks.shape[1], alpha)
    return ranks, difference, cliques(ranks, difference)
