"""Means and intervals: over seeds first, then over slides or datasets.

The mean over seeds is undefined (nan) if any seed that ran has no finite value. Means over datasets
are over those on which the value is defined, and say how many that were.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from spared_bench.leaderboard.model import UNDEFINED, Mean
from spared_bench.results import TrialResult
from spared_bench.specs import MetricSpec
from spared_bench.statistics.intervals import FEWEST_DATASETS, mean_interval


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
    slides: Sequence[Mapping[str, Mapping[str, float]]], metric: MetricSpec, score: float
) -> tuple[float, float]:
    """Return the 95 % interval over slides, each slide averaged over seeds first.

    Parameters
    ----------
    slides : sequence of mapping of slide to mapping of metric to float
        Of every trial, on the split on which it is compared.
    metric : MetricSpec
    score : float
        Undefined where this is not the mean over slides, as under a protocol that scores the spots
        of all slides together: the interval would be one of another number.
    """
    names = sorted(set[str]().union(*slides))
    if len(names) < 2:
        return UNDEFINED
    values = finite(
        fmean(float(each[name].get(metric.name, math.nan)) for each in slides if name in each)
        for name in names
    )
    if not math.isclose(mean(values), score, rel_tol=1e-3, abs_tol=1e-5):  # may be rounded
        return UNDEFINED
    return mean_interval(values, bounds=metric.bounds)


def dataset_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of a mean over datasets; undefined for fewer than five."""
    defined = finite(values)
    return mean_interval(defined) if len(defined) >= FEWEST_DATASETS else UNDEFINED
