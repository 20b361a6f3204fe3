"""Bootstrap intervals of a board: of a row's mean over datasets, of a score over slides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from spared_bench.leaderboard.board import Column, Row
from spared_bench.results import TrialResult


def slide_interval(trials: Sequence[TrialResult], metric: str) -> tuple[float, float]:
    """Return the interval of a metric over slides, each slide averaged over seeds first."""
    slides: dict[str, list[float]] = {}
    for trial in trials:
        split = trial.facts.get("evaluation_split", "test")
        for slide, scores in trial.slide_scores.get(split, {}).items():
            slides.setdefault(slide, []).append(float(scores.get(metric, math.nan)))
    if len(slides) < 2:
        return math.nan, math.nan
    from spared_bench.statistics.bootstrap import over_slides

    return over_slides([fmean(slides[name]) for name in sorted(slides)])


def with_intervals(rows: Sequence[Row], columns: Sequence[Column]) -> list[Row]:
    """Return rows with the interval of their mean normalised MSE over the datasets that count."""
    counted = [column.name for column in columns if column.counts]
    from spared_bench.statistics.bootstrap import FEWEST_DATASETS, over_datasets

    if len(counted) < FEWEST_DATASETS:
        return list(rows)
    import pandas as pd

    values = [[row.entries[name].normalised_mse for row in rows] for name in counted]
    bounds = over_datasets(pd.DataFrame(values, index=counted)).to_numpy()
    return [
        replace(row, interval=(float(low), float(high)))
        for row, (low, high) in zip(rows, bounds, strict=True)
    ]
