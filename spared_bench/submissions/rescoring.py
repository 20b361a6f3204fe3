"""From predictions to scores, by the same code and rules as a run's own."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from spared_bench.bench import Bench
from spared_bench.leaderboard.entries import MAX_SCORE
from spared_bench.metrics.scoring import MetricFunction, means
from spared_bench.specs import MetricSpec
from spared_bench.submissions.truth import Truth

#: How far a claim may lie from the score of the predictions, times max(1, its size). Rounding to
#: 16 bits moves a score by less than 1e-5, and another processor by less still.
TOLERANCE = 1e-4

Metrics = Mapping[str, tuple[MetricSpec, MetricFunction]]


def metrics_of(bench: Bench) -> Metrics:
    """Return the metrics of a protocol."""
    return {
        name: (bench.metric(name), bench.registry.get("metric", name).load())
        for name in bench.protocol.metrics
    }


def rescore(
    bench: Bench, truth: Truth, prediction: np.ndarray, metrics: Metrics | None = None
) -> dict[str, float | None]:
    """Score a prediction as the protocol says; ``None`` where a metric is undefined.

    Parameters
    ----------
    bench : Bench
    truth : Truth
    prediction : ndarray of shape (n_spots, n_genes)
        In the order of the truth.
    """
    found = means(
        metrics or metrics_of(bench),
        truth.target,
        prediction,
        truth.mask,
        truth.slide_ids,
        pooling=bench.protocol.pooling,
        rule=bench.protocol.mean_rule,
    )
    return {name: value if is_number(value) else None for name, value in found.items()}


def disagreements(
    claimed: Mapping[str, float | None], rescored: Mapping[str, float | None]
) -> list[str]:
    """Say which claims are not what the predictions give, a clause each; empty if all are."""
    found = []
    for name in sorted(set(claimed) | set(rescored)):
        if name not in claimed or name not in rescored:
            found.append(f"{name} is {'not claimed' if name in rescored else 'no metric here'}")
            continue
        said, is_ = claimed[name], rescored[name]
        if not _agree(said, is_):
            found.append(
                f"{name} is claimed as {_text(said)}, and the predictions give {_text(is_)}"
            )
    return found


def _agree(claimed: float | None, rescored: float | None) -> bool:
    if claimed is None or rescored is None:
        return claimed is rescored
    return abs(claimed - rescored) <= TOLERANCE * max(1.0, abs(rescored))


def _text(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.6g}"


def is_number(value: float) -> bool:
    return math.isfinite(value) and abs(value) <= MAX_SCORE
