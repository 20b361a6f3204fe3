"""Means and intervals: over seeds first, then over slides or datasets.

The mean over seeds is undefined (nan) if any seed that ran has no finite value. Means over datasets
are over those on which the value is defined, and say how many that were. Intervals are bootstrap
percentiles (95 %): over datasets with the same resampled datasets for all rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from spared_bench.leaderboard.model import UNDEFINED, Mean
from spared_bench.results import TrialResult


def evaluation_split(trial: TrialResult) -> str:
    """Return the split on which a trial is compared with others."""
    return str(trial.facts.get("evaluation_split", "test"))


def mean(values: Sequence[float]) -> float:
    """Return the mean; nan of nothing, or of anything that is not finite."""
    if not values or not all(math.isfinite(value) for value in values):
        return math.nan
    # Divided first, so that values near the largest float cannot overflow; + 0.0 clears a -0.0.
    return math.fsum(value / len(values) for value in values) + 0.0


def over_seeds(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and the sample deviation, which is nan for a single seed."""
    centre = mean(values)
    if len(values) < 2 or math.isnan(centre):
        return centre, math.nan
    # hypot scales before it squares, so that large errors cannot overflow.
    sd = math.hypot(*(value - centre for value in values)) / math.sqrt(len(values) - 1)
    return centre, sd if math.isfinite(sd) else math.nan


def over_datasets(values: Sequence[float]) -> Mean:
    """Return the mean of the values that are defined."""
    defined = finite(values)
    return Mean(mean(defined), len(defined), len(values))


def finite(values: Iterable[float]) -> list[float]:
    """Leave out what is undefined."""
    return [value for value in values if math.isfinite(value)]


def slide_interval(
    slides: Sequence[Mapping[str, Mapping[str, float]]], metric: str
) -> tuple[float, float]:
    """Return the interval of a metric over slides, each slide averaged over seeds first.

    Parameters
    ----------
    slides : sequence of mapping of slide to mapping of metric to float
        Of every trial, on the split on which it is compared.
    metric : str
    """
    names = sorted(set[str]().union(*slides))
    if len(names) < 2:
        return UNDEFINED
    from spared_bench.statistics.bootstrap import over_slides

    values = [
        [float(each[name].get(metric, math.nan)) for each in slides if name in each]
        for name in names
    ]
    return over_slides([fmean(each) for each in values])


def dataset_intervals(values: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    """Return the interval of the mean of every row over datasets.

    Parameters
    ----------
    values : sequence of (n_datasets) sequences of (n_rows) float
        nan where a row has no value.
    """
    from spared_bench.statistics.bootstrap import FEWEST_DATASETS
    from spared_bench.statistics.bootstrap import over_datasets as resampled

    if len(values) < FEWEST_DATASETS:
        return [UNDEFINED for _ in (values[0] if values else ())]
    import pandas as pd

    bounds = resampled(pd.DataFrame(list(values))).to_numpy()
    return [(float(low), float(high)) for low, high in bounds]
