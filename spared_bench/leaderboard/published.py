"""Published rows as their authors summarise them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from spared_bench.leaderboard.comparisons import errors, relative
from spared_bench.leaderboard.measures import best
from spared_bench.leaderboard.model import BoardDataset, ProtocolBoard, Row
from spared_bench.specs import MetricSpec

if TYPE_CHECKING:
    import pandas as pd

SUSPECT = "suspect-cell"


def published_view(part: ProtocolBoard, metric: MetricSpec) -> dict[str, Any] | None:
    """Summarise published rows as their authors did; ``None`` where there are none.

    Over all measured datasets, those that repeat others' slides included; with the suspect cells
    and without them. ``best`` names the method that is best on each dataset, the first of the rows
    on a tie.
    """
    rows = reported_rows(part)
    if not rows:
        return None
    names = _distinct_names(rows)
    datasets = measured(part)
    suspect = suspect_cells(rows, names)
    matrix = errors(rows, datasets, metric, names)
    order = matrix.min(axis=1).dropna().sort_values(ascending=False)
    winners = matrix.dropna(how="all").idxmin(axis=1)
    dunn, compared = published_dunn(rows, part, metric, names)
    return {
        "methods": names,
        "suspect": [list(cell) for cell in suspect],
        "all": _summary(matrix, metric),
        "without_suspect": _summary(errors(rows, datasets, metric, names, suspect), metric),
        "hardest": _with_score(rows, order.index[0], metric) if len(order) else None,
        "easiest": _with_score(rows, order.index[-1], metric) if len(order) else None,
        "best": {str(name): str(method) for name, method in winners.items()},
        "dunn": {"methods": compared, "p": dunn.to_numpy().tolist()},
    }


def _with_score(rows: Sequence[Row], dataset: str, metric: MetricSpec) -> list[Any]:
    """Return a dataset and the best score of some rows on it."""
    return [dataset, best(metric, [row.datasets[dataset].score(metric).mean for row in rows])]


def _distinct_names(rows: Sequence[Row]) -> list[str]:
    """Name each row by its method, or by as much more as tells all of them apart."""
    methods = [row.origin.method for row in rows]
    if len(set(methods)) == len(rows):
        return methods
    return [
        f"{row.origin.method}@{row.origin.version} {row.predictor} {row.completer}" for row in rows
    ]


def published_dunn(
    rows: Sequence[Row], part: ProtocolBoard, metric: MetricSpec, names: Sequence[str]
) -> tuple[pd.DataFrame, list[str]]:
    """Return Dunn's matrix of relative errors, Bonferroni, of methods with half of the datasets."""
    from spared_bench.statistics.pairwise import dunn

    matrix = relative(errors(rows, measured(part), metric, names), metric)
    enough = matrix.loc[:, matrix.notna().sum() >= len(matrix) / 2]
    return dunn(enough), list(map(str, enough.columns))


def _summary(matrix: pd.DataFrame, metric: MetricSpec) -> dict[str, dict[str, float]]:
    from spared_bench.statistics.summaries import wins

    columns = {
        "mean": relative(matrix, metric).mean(axis=0),
        "wins": wins(matrix),
        "datasets": matrix.notna().sum(axis=0),
    }
    return {
        key: {str(name): float(value) for name, value in found.items()}
        for key, found in columns.items()
    }


def suspect_cells(rows: Sequence[Row], names: Sequence[str]) -> list[tuple[str, str]]:
    """Return (dataset, name) of the values that are flagged as probably copied."""
    return [
        (flag.dataset, name)
        for row, name in zip(rows, names, strict=True)
        for flag in row.origin.flags
        if flag.kind == SUSPECT and flag.dataset
    ]


def reported_rows(part: ProtocolBoard) -> list[Row]:
    """Return the rows of published numbers that were not withdrawn."""
    return [row for row in part.rows if row.origin.trust == "reported" and row.competes]


def measured(part: ProtocolBoard) -> list[BoardDataset]:
    """Return the protocol's datasets that are not generated, those that repeat others' slides too.

    Published tables average over all of them; the board's own means leave repeats out.
    """
    return [dataset for dataset in part.datasets if dataset.listed and not dataset.synthetic]
