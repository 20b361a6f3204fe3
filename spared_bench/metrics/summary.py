"""From one value per gene or spot to one number, with a stated rule for undefined values.

A metric's spec says of which kind it is (``MetricSpec.undefined``), the protocol by which rule.

``"strict"``, ours, for correlations and determinations. A gene (spot) with fewer than two measured
entries, or with constant truth, is left out: no method can say anything about it. A prediction that
is constant where the truth varies has no correlation, and counts 0. Any other nan, as from a
prediction that is not finite, makes the mean nan: a method gains nothing by failing.

``"published"``, of the SpaRED benchmark (its library 2.2.1). Correlations: nan as a whole if the
prediction of *any* gene (spot) is constant over all entries, measured or not; otherwise a gene
counts 0 whose truth is constant, or whose prediction is where it was measured, or that has a single
measured entry; one with none is left out. R2: genes with fewer than two measured entries are left
out; constant truth gives minus infinity, and so does the mean, or nan if its prediction is perfect.

Of all other metrics, under both rules: nan values are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from spared_bench.errors import PluginError, ShapeMismatchError, UnknownNameError
from spared_bench.metrics.arrays import checked, constant_rows
from spared_bench.specs import MetricSpec

Metric = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
Rule = Literal["strict", "published"]

_RULES = ("strict", "published")
#: How far beyond its bounds a value may lie that was computed in single precision.
_ROUNDING = 1e-5


def pooled_mean(
    spec: MetricSpec,
    metric: Metric,
    truth: np.ndarray,
    prediction: np.ndarray,
    mask: np.ndarray,
    *,
    rule: Rule = "strict",
) -> float:
    """Mean of a metric over genes or spots, all slides together.

    Parameters
    ----------
    spec : MetricSpec
        What one value stands for, and how undefined ones count.
    metric : callable
        ``(truth, prediction, mask) -> ndarray``.
    truth, prediction, mask : ndarray of shape (n_spots, n_genes)
    rule : {"strict", "published"}
        See the module.

    Returns
    -------
    float
        nan where nothing is left to average.

    Raises
    ------
    ShapeMismatchError
        If the three arrays differ in shape.
    UnknownNameError
        For another rule.
    PluginError
        If the metric returns another number of values than its spec says, others than its spec
        allows, or no numbers.
    """
    if rule not in _RULES:
        raise UnknownNameError("mean rule", rule, _RULES)
    truth, prediction, mask = checked(truth, prediction, mask)
    return _mean(settled(spec, metric, truth, prediction, mask, rule))


def settled(
    spec: MetricSpec,
    metric: Metric,
    truth: np.ndarray,
    prediction: np.ndarray,
    mask: np.ndarray,
    rule: Rule,
) -> np.ndarray:
    """Return the values that a rule averages: undefined ones replaced, or left out."""
    values = answered(spec, metric(truth, prediction, mask))
    units = {"entry": (1, -1), "gene": truth.T.shape, "spot": truth.shape}[spec.per]
    if values.shape != units[:1]:
        raise PluginError(
            f"Metric {spec.name!r} is declared to have one value per {spec.per}: expected shape"
            f" {units[:1]} for {truth.shape[0]} spots and {truth.shape[1]} genes, found"
            f" {values.shape}. Correct the metric, or `per` of its spec."
        )
    if spec.undefined == "left_out":
        return values[~np.isnan(values)]
    # One row for each value: what it was computed from.
    t, p, m = (
        (part.T if spec.per == "gene" else part).reshape(units)
        for part in (truth, prediction, mask)
    )
    settle = _strict if rule == "strict" else _published
    return settle(values, t, p, m, spec.undefined == "correlation")


def answered(spec: MetricSpec, answer: Any) -> np.ndarray:
    """Return what a metric answered as numbers in one dimension or more.

    What is masked (``numpy.ma``) is undefined: below a mask lies any number, mostly 0.

    Raises
    ------
    PluginError
        For nothing, as of a function that lacks its ``return``, for complex numbers, and for values
        beyond the bounds of the spec, from which the board would rank the wrong way round.
    """
    if isinstance(answer, np.ma.MaskedArray):
        answer = np.ma.filled(answer.astype(np.float64), np.nan)
    if answer is None or np.iscomplexobj(answer):
        found = "None" if answer is None else "complex numbers"
        raise PluginError(
            f"Metric {spec.name!r} must return numbers, nan where undefined; found {found}. Correct"
            " the metric."
        )
    values = np.atleast_1d(np.asarray(answer, dtype=np.float64))
    low, high = spec.bounds
    beyond = values[(values < low - _ROUNDING) | (values > high + _ROUNDING)]
    if beyond.size:
        raise PluginError(
            f"Metric {spec.name!r} is declared to lie between {low:g} and {high:g}; found"
            f" {beyond[0]:g}. The board ranks by the distance from the better end: correct the"
            " metric, or `bounds` of its spec."
        )
    return values


def by_slide(
    spec: MetricSpec,
    metric: Metric,
    truth: np.ndarray,
    prediction: np.ndarray,
    mask: np.ndarray,
    slide_ids: np.ndarray,
    *,
    rule: Rule = "strict",
) -> dict[str, float]:
    """Mean of a metric on each slide, in order of appearance; see ``pooled_mean``.

    A slide on which nothing can be scored is nan. All are, if the prediction is not finite at some
    measured entry: otherwise ``mean_over_slides`` would forgive the slides on which a method fails.

    Raises
    ------
    ShapeMismatchError
        If there is not one slide id per spot.
    """
    truth, prediction, mask = checked(truth, prediction, mask)
    slide_ids = np.asarray(slide_ids)
    if slide_ids.shape != truth.shape[:1]:
        raise ShapeMismatchError(
            f"{slide_ids.shape} slide ids for {truth.shape[0]} spots; one id per spot is needed."
        )
    slides = list(dict.fromkeys(slide_ids.tolist()))
    if not np.isfinite(prediction[mask]).all():
        return {str(slide): float("nan") for slide in slides}
    means = {}
    for slide in slides:
        here = slide_ids == slide
        means[str(slide)] = pooled_mean(
            spec, metric, truth[here], prediction[here], mask[here], rule=rule
        )
    return means


def mean_over_slides(slide_means: dict[str, float]) -> float:
    """Mean of what ``by_slide`` returns, each slide with the same weight; nan slides left out."""
    values = np.array(list(slide_means.values()), dtype=np.float64)
    return _mean(values[~np.isnan(values)])


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")


def _strict(
    values: np.ndarray,
    truth: np.ndarray,
    prediction: np.ndarray,
    mask: np.ndarray,
    is_correlation: bool,
) -> np.ndarray:
    if is_correlation:
        values = np.where(constant_rows(prediction, mask), 0.0, values)
    return values[~constant_rows(truth, mask)]


def _published(
    values: np.ndarray,
    truth: np.ndarray,
    prediction: np.ndarray,
    mask: np.ndarray,
    is_correlation: bool,
) -> np.ndarray:
    n_seen = mask.sum(axis=1)
    constant_truth = constant_rows(truth, mask)
    if is_correlation:
        if constant_rows(prediction, np.ones_like(mask)).any():
            return np.array([np.nan])
        undefined = constant_truth | constant_rows(prediction, mask)
        values = np.where(undefined, 0.0, values)[n_seen > 0]
        return values[~np.isnan(values)]
    perfect = ~((truth != prediction) & mask).any(axis=1)
    limit = np.where(perfect, np.nan, -np.inf)
    return np.where(constant_truth, limit, values)[n_seen > 1]
