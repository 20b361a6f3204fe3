"""Metrics of one split: pooled as the protocol says, per slide, and per gene."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from spared_bench.metrics.summary import by_slide, pooled_mean
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
        For metrics that have one value per gene, over the whole split.
    mse : float
        Over all measured entries of the split.
    gene_correlation : ndarray of shape (n_genes,)
        Pearson over the whole split, for the figure.
    """

    means: dict[str, float]
    by_slide: dict[str, dict[str, float]] = field(default_factory=dict)
    by_gene: dict[str, list[float]] = field(default_factory=dict)
    mse: float = float("nan")
    gene_correlation: np.ndarray = field(default_factory=lambda: np.empty(0))
