"""The metrics of one split: pooled as the protocol says, per slide, and per gene."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from spared_bench.metrics.summary import Rule, by_slide, mean_over_slides, pooled_mean
from spared_bench.specs import MetricSpec

MetricFunction = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Scoring:
    """The scores of one split.

    Parameters
    ----------
    means : dict of metric to float
        Over slides or over the whole split, as the protocol pools.
    by_slide : dict of slide to dict of metric to float
    by_gene : dict of metric to list of float
        Metrics that have one value per gene, over the whole split, in the order of the columns.
    """

    means: dict[str, float] = field(default_factory=dict)
    by_slide: dict[str, dict[str, float]] = field(default_factory=dict)
    by_gene: dict[str, list[float]] = field(default_factory=dict)


def means(
    metrics: Mapping[str, tuple[MetricSpec, MetricFunction]],
    truth: np.ndarray,
    prediction: np.ndarray,
    mask: np.ndarray,
    slide_ids: np.ndarray,
    *,
    pooling: str = "slide",
    rule: Rule = "strict",
) -> dict[str, float]:
    """Return ``score(...).means`` alone, which takes a fraction of the time; see ``score``."""
    return {
        name: mean_over_slides(
            by_slide(spec, metric, truth, prediction, mask, slide_ids, rule=rule)
        )
        if pooling == "slide"
        else pooled_mean(spec, metric, truth, prediction, mask, rule=rule)
        for name, (spec, metric) in metrics.items()
    }


def score(
    metrics: Mapping[str, tuple[MetricSpec, MetricFunction]],
    truth: np.ndarray,
    prediction: np.ndarray,
    mask: np.ndarray,
    slide_ids: np.ndarray,
    *,
    pooling: str = "slide",
    rule: Rule = "strict",
) -> Scoring:
    """Score a prediction of one split.

    Parameters
    ----------
    metrics : mapping of name to (MetricSpec, callable)
    truth, prediction : ndarray of shape (n_spots, n_genes)
    mask : ndarray of bool, of shape (n_spots, n_genes)
        True where measured.
    slide_ids : ndarray of str, of shape (n_spots,)
    pooling : {"slide", "split"}
        Mean over the slides' scores, or one score over all spots.
    rule : {"strict", "published"}
        How undefined values enter a mean (``spared_bench.metrics.summary``).
    """
    means: dict[str, float] = {}
    slides: dict[str, dict[str, float]] = {
        str(slide): {} for slide in dict.fromkeys(slide_ids.tolist())
    }
    by_gene = {}
    for name, (spec, metric) in metrics.items():
        per_slide = by_slide(spec, metric, truth, prediction, mask, slide_ids, rule=rule)
        for slide, value in per_slide.items():
            slides[slide][name] = value
        means[name] = (
            mean_over_slides(per_slide)
            if pooling == "slide"
            else pooled_mean(spec, metric, truth, prediction, mask, rule=rule)
        )
        if spec.per == "gene":
            by_gene[name] = [float(value) for value in metric(truth, prediction, mask)]
    return Scoring(means, slides, by_gene)
