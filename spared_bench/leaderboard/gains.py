"""What knowing a part of a sample is worth: scores beside those of image alone, on the same spots.

Under a protocol of partially measured samples, methods that look at images alone stand on no row of
the board: they answer another question. One of them, which the protocol names, is what the gain of
all others is measured against.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from spared_bench.leaderboard.means import over_datasets
from spared_bench.leaderboard.model import BoardDataset, Row
from spared_bench.results import TrialResult
from spared_bench.specs import MetricSpec


def uses_known(trials: Iterable[TrialResult]) -> bool:
    """Whether a method is given what is known of the samples that it predicts."""
    return any(trial.facts.get("needs_known") for trial in trials)


def with_gains(
    rows: Sequence[Row],
    image_only: Sequence[Row],
    reference: str,
    datasets: Sequence[BoardDataset],
    metrics: Sequence[MetricSpec],
) -> tuple[list[Row], list[str]]:
    """Return rows with their gain over a method of images alone, by every metric.

    Parameters
    ----------
    rows, image_only : sequence of Row
        Those of the board, and those that stand beside it.
    reference : str
        The predictor, of ``image_only``, that gains are measured against: its row with the same
        completer, computed here.
    datasets, metrics
        Of the board.

    Returns
    -------
    list of Row
        A gain is positive where the row is better. nan without a reference.
    list of str
        What is missing, a sentence each.
    """
    of_completer = {
        row.completer: row
        for row in image_only
        if row.predictor == reference and row.origin.trained_here
    }
    missing = sorted({row.completer for row in rows} - set(of_completer))
    notes = [
        f"No result of {reference}, which looks at images alone, with completer {name}, so the gain"
        f" over it is not known: `spared-bench run -p {reference} -c {name}` makes it."
        for name in missing
    ]
    found = []
    for row in rows:
        other = of_completer.get(row.completer)
        found.append(row if other is None else _with_gain(row, other, datasets, metrics))
    return found, notes


def _with_gain(
    row: Row, other: Row, datasets: Sequence[BoardDataset], metrics: Sequence[MetricSpec]
) -> Row:
    scored = dict(row.datasets)
    for name, theirs in other.datasets.items():
        scores = {
            metric.name: replace(
                row.datasets[name].score(metric),
                gain=gain(metric, row.datasets[name].score(metric).mean, theirs.score(metric).mean),
            )
            for metric in metrics
        }
        scored[name] = replace(row.datasets[name], scores=scores)
    counted = [scored[dataset.name] for dataset in datasets if dataset.counts]
    summaries: Mapping[str, object] = row.summaries
    return replace(
        row,
        datasets=scored,
        summaries={
            metric.name: replace(
                row.summary(metric),
                gain=over_datasets([each.score(metric).gain for each in counted]),
            )
            for metric in metrics
            if metric.name in summaries
        },
    )


def gain(metric: MetricSpec, value: float, reference: float) -> float:
    """Return by how much a score is better than another, in the unit of the metric."""
    if math.isnan(value) or math.isnan(reference):
        return math.nan
    if metric.better == "nearest":
        return abs(reference - metric.goal) - abs(value - metric.goal)
    return value - reference if metric.better == "higher" else reference - value
