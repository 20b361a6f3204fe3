"""Intervals over genes: of a share of them, and of a mean."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from spared_bench.statistics.bootstrap import over_slides


def share_interval(values: Sequence[float], *, level: float = 0.95) -> tuple[float, float]:
    """Interval of the share of genes for which something holds (Wilson, J. Am. Stat. Assoc. 1927).

    Parameters
    ----------
    values : sequence of float
        1 where it holds, 0 where it does not, between them where it holds on some slides; nan is
        left out.
    level : float

    Returns
    -------
    low, high : float
        nan without a value. Genes are taken for independent, which genes of one pathway are not.
    """
    found = np.asarray(values, dtype=float)
    found = found[np.isfinite(found)]
    n = len(found)
    if not n:
        return float("nan"), float("nan")
    z, share = NormalDist().inv_cdf(0.5 + level / 2), float(found.mean())
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * float(np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def mean_interval(values: Sequence[float], *, level: float = 0.95) -> tuple[float, float]:
    """Bootstrap interval of the mean over genes; nan for fewer than two values."""
    return over_slides(values, level=level)
