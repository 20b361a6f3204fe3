"""A metric's value as an error: how far it is from perfect, and how that compares with the best.

One direction for all metrics, so that normalising, ranking and testing are written once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from spared_bench.specs import MetricSpec


def error(spec: MetricSpec, value: float) -> float:
    """Return the distance from a perfect prediction, lower being better; nan stays nan.

    A metric without a perfect value gives its own value, turned round where higher is better: it
    orders as well, and has no zero to measure ratios from.
    """
    if math.isfinite(spec.perfect):
        return abs(value - spec.perfect)
    return -value if spec.better == "higher" else value


def error_title(spec: MetricSpec) -> str:
    """Return what people call the error by a metric, which is lower where a method is better.

    >>> error_title(MetricSpec("mse", "a:b", better="lower", bounds=(0, math.inf), label="MSE"))
    'MSE'
    >>> error_title(MetricSpec("pcc", "a:b", bounds=(-1, 1), label="PCC"))
    'error by PCC'
    """
    return spec.title if spec.perfect == 0 else f"error by {spec.title}"


def can_be_normalised(spec: MetricSpec) -> bool:
    """Whether errors have a zero, so that one can be divided by another."""
    return math.isfinite(spec.perfect)


def is_comparable(spec: MetricSpec) -> bool:
    """Whether values of different datasets are on one scale: both ends are finite."""
    return all(map(math.isfinite, spec.bounds))


def best(spec: MetricSpec, values: Iterable[float]) -> float:
    """Return the best of some values; nan of none."""
    finite = [value for value in values if math.isfinite(value)]
    return min(finite, key=lambda value: error(spec, value), default=math.nan)


def normalised(spec: MetricSpec, value: float, best_value: float) -> float:
    """Return the error divided by that of the best value; nan where there is no such ratio.

    By an error of 0 every other one would be infinite.
    """
    lowest = error(spec, best_value)
    if not can_be_normalised(spec) or not lowest > 0:
        return math.nan
    ratio = error(spec, value) / lowest
    return ratio if math.isfinite(ratio) else math.nan
