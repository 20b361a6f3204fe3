"""From predictions to scores, by the same code and rules as a run's own."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import numpy as np

from spared_bench.bench import Bench
from spared_bench.leaderboard.entries import MAX_SCORE, EntryResult
from spared_bench.metrics.scoring import Beside, MetricFunction, details, means
from spared_bench.prediction import Prediction
from spared_bench.specs import MetricSpec
from spared_bench.submissions.truth import Truth
from spared_bench.trials.scores import scored_columns

#: How far a claim may lie from the score of the predictions, times max(1, its size). Rounding to
#: 16 bits moves a score by less than 1e-5, and another processor by less still.
TOLERANCE = 1e-4

Metrics = Mapping[str, tuple[MetricSpec, MetricFunction]]


def metrics_of(bench: Bench) -> Metrics:
    """Return the metrics of a protocol, those of variances and classes included."""
    return {
        name: (bench.metric(name), bench.registry.get("metric", name).load())
        for name in bench.scored_metrics
    }


def rescore(
    bench: Bench, truth: Truth, prediction: np.ndarray | Prediction, metrics: Metrics | None = None
) -> dict[str, float | None]:
    """Score a prediction as the protocol says; ``None`` where a metric is undefined.

    Parameters
    ----------
    bench : Bench
    truth : Truth
    prediction : Prediction, or ndarray of shape (n_spots, n_genes)
        In the order of the truth. Metrics of what it does not hold are left out.
    """
    arrays, beside = _scored(bench, truth, prediction)
    found = means(
        metrics or metrics_of(bench),
        *arrays,
        truth.slide_ids,
        beside=beside,
        pooling=bench.protocol.pooling,
        rule=bench.protocol.mean_rule,
    )
    return {name: value if is_number(value) else None for name, value in found.items()}


def with_scores(
    result: EntryResult,
    scores: Mapping[str, float | None],
    bench: Bench,
    truth: Truth,
    prediction: Prediction,
) -> EntryResult:
    """Return the result with these scores, and the prediction's calibration and confusion."""
    arrays, beside = _scored(bench, truth, prediction)
    curve, table = details(*arrays, beside)
    return result.model_copy(
        update={
            "split_scores": {truth.split: dict(scores)},
            "calibration": [value if is_number(value) else None for value in curve],
            "confusion": table,
            "classes": list(truth.classes) if table else [],
        }
    )


def _scored(
    bench: Bench, truth: Truth, prediction: np.ndarray | Prediction
) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], Beside]:
    """Return target, means and mask of the scored genes, and what is beside the means."""
    if not isinstance(prediction, Prediction):
        prediction = Prediction(prediction)
    chosen = scored_columns(bench.protocol, truth.genes, truth.symbols or truth.genes)
    # All genes without a copy.
    columns = slice(None) if len(chosen) == len(truth.genes) else chosen
    variance = prediction.variance
    arrays = truth.target[:, columns], prediction.mean[:, columns], truth.mask[:, columns]
    return arrays, Beside(
        None if variance is None else variance[:, columns],
        prediction.classes,
        truth.labels,
        truth.tissue,
    )


def disagreements(
    claimed: Mapping[str, float | None],
    rescored: Mapping[str, float | None],
    known: Collection[str] = (),
) -> list[str]:
    """Say which claims are not what the predictions give, a clause each; empty if all are.

    ``known`` are the metrics that a prediction may have a value of.
    """
    found = []
    for name in sorted(set(claimed) | set(rescored)):
        if name not in claimed or name not in rescored:
            why = "no metric here"
            if name in known:
                why = "claimed, and the predictions hold nothing that gives it"
            found.append(f"{name} is {'not claimed' if name in rescored else why}")
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
