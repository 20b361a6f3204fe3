"""Intervals of a mean, and of a share: of slides, of datasets, of genes.

Of a mean it is Student's (Biometrika 1908). Percentiles of a bootstrap are too narrow for the few
slides and datasets that there are: those of two values reach no further than the two, between which
the mean lies half of the time. ``benchmarks/intervals.py`` counts how often each holds it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from statistics import NormalDist

#: Fewer say little of those that were not tried, whatever the width of the interval.
FEWEST_DATASETS = 5


def mean_interval(
    values: Iterable[float],
    *,
    level: float = 0.95,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> tuple[float, float]:
    """Interval of the mean of what values are a sample of.

    Parameters
    ----------
    values : iterable of float
        nan and infinities are left out. They are taken for independent and not far from normal.
    level : float
    bounds : tuple of float
        Beyond which no value can lie, so that the interval ends there.

    Returns
    -------
    low, high : float
        nan for fewer than two values.
    """
    found = [float(value) for value in values if math.isfinite(value)]
    n = len(found)
    if n < 2:
        return math.nan, math.nan
    # Divided first, and by hypot, so that neither sums nor squares of large values overflow.
    mean = math.fsum(value / n for value in found)
    sd = math.hypot(*(value - mean for value in found)) / math.sqrt(n - 1)
    reach = standard_errors(n, level) * sd / math.sqrt(n)
    lowest, highest = min(bounds[0], *found), max(bounds[1], *found)
    return max(lowest, mean - reach), min(highest, mean + reach)


@lru_cache(maxsize=4096)
def standard_errors(n: int, level: float = 0.95) -> float:
    """Return how many standard errors the interval of a mean of n values reaches to each side."""
    from scipy.special import stdtrit

    return float(stdtrit(n - 1, (1 + level) / 2))


def share_interval(values: Iterable[float], *, level: float = 0.95) -> tuple[float, float]:
    """Interval of the share of genes for which something holds (Wilson, J. Am. Stat. Assoc. 1927).

    Parameters
    ----------
    values : iterable of float
        1 where it holds, 0 where it does not, between them where it holds on some slides; nan is
        left out.
    level : float

    Returns
    -------
    low, high : float
        nan without a value. Genes are taken for independent, which genes of one pathway are not.
    """
    found = [float(value) for value in values if math.isfinite(value)]
    n = len(found)
    if not n:
        return math.nan, math.nan
    z, share = NormalDist().inv_cdf(0.5 + level / 2), math.fsum(found) / n
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return max(0.0, middle - reach), min(1.0, middle + reach)
