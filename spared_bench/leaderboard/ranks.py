"""The order of the rows, and which of them have a rank.

Complete rows that are neither controls nor withdrawn are ranked by their mean normalised error, or
by their mean score where the metric has no perfect value; equal values share the better rank. Of
them, the protocol's ``ranking.completer`` may choose: all, of every method the best, or those of
one completer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from spared_bench.leaderboard.measures import can_be_normalised, error
from spared_bench.leaderboard.merging import origin_order
from spared_bench.leaderboard.model import Row
from spared_bench.protocol import Ranking
from spared_bench.specs import MetricSpec


def ranked(rows: Sequence[Row], metric: MetricSpec, ranking: Ranking) -> tuple[Row, ...]:
    """Order rows, complete ones first and the best of them first, and give them ranks."""
    ordered = sorted(rows, key=lambda row: _place(row, metric))
    chosen = _chosen([row for row in ordered if _can_be_ranked(row, metric)], ranking)
    scores = [overall_error(row, metric) for row in chosen]
    names = {_name(row) for row in chosen}
    return tuple(
        replace(row, rank=scores.index(overall_error(row, metric)) + 1)
        if _name(row) in names
        else row
        for row in ordered
    )


def overall_error(row: Row, metric: MetricSpec) -> float:
    """Return what rows are ordered by, lower being better; nan where undefined."""
    value = row.summary(metric).overall(metric).value
    return value if can_be_normalised(metric) else error(metric, value)


def _name(row: Row) -> tuple[Any, ...]:
    return row.origin, row.predictor, row.completer


def _can_be_ranked(row: Row, metric: MetricSpec) -> bool:
    return row.complete and row.competes and math.isfinite(overall_error(row, metric))


def _chosen(rows: Sequence[Row], ranking: Ranking) -> list[Row]:
    """Return which of some rows, the best first, have a rank."""
    if ranking.completer == "all":
        return list(rows)
    if ranking.completer == "best":
        best: dict[tuple[Any, ...], Row] = {}
        for row in rows:
            best.setdefault((row.origin, row.predictor), row)
        return list(best.values())
    return [row for row in rows if row.completer == ranking.completer]


def _place(row: Row, metric: MetricSpec) -> tuple[Any, ...]:
    score = overall_error(row, metric)
    undefined = math.isnan(score)
    return (
        not row.complete,
        undefined,
        -row.summary(metric).overall(metric).covered,
        0.0 if undefined else score,
        row.predictor,
        row.completer,
        *origin_order(row.origin),
    )
