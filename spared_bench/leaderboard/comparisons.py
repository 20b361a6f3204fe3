"""What the statistics say of a board: one comparison of all rows, and one per completer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from spared_bench.leaderboard.board import ProtocolBoard, Row
from spared_bench.leaderboard.matrices import (
    correlations,
    errors,
    measured,
    reported_rows,
    suspect_cells,
)

if TYPE_CHECKING:
    import pandas as pd

MOST_PAIRWISE = 25  # methods of a matrix of pairs; beyond them nobody reads it
RAW = "none"


def comparisons(part: ProtocolBoard) -> list[dict[str, Any]]:
    """Compare the rows of a board, all together and completer by completer.

    Rows are named by their place on the board. Controls and withdrawn rows take no part.
    """
    named = [(str(place), row) for place, row in enumerate(part.rows) if row.competes]
    completers = sorted({row.completer for _, row in named})
    groups = [("", named)] if len(completers) != 1 else []
    groups += [(c, [(n, row) for n, row in named if row.completer == c]) for c in completers]
    return [
        {"completer": completer, **comparison(part, [n for n, _ in group], [r for _, r in group])}
        for completer, group in groups
        if group
    ]


def comparison(part: ProtocolBoard, names: Sequence[str], rows: Sequence[Row]) -> dict[str, Any]:
    """Compare rows over the datasets that count."""
    from spared_bench.statistics.blocks import complete_blocks
    from spared_bench.statistics.omnibus import friedman, reach
    from spared_bench.statistics.summaries import average_ranks, wins

    counted = [column for column in part.columns if column.counts]
    matrix = errors(rows, counted, names)
    blocks = complete_blocks(matrix)
    n, k = blocks.matrix.shape
    ranks = average_ranks(blocks.matrix).sort_values(kind="stable")
    chosen = list(ranks.index[:MOST_PAIRWISE])
    return {
        "n_datasets": n,
        "n_methods": k,
        "total": blocks.total,
        "methods_left_out": blocks.methods_left_out,
        "datasets_left_out": list(blocks.datasets_left_out),
        "wins": wins(matrix).to_dict(),
        "ranks": ranks.to_dict(),
        "friedman": asdict(friedman(blocks.matrix)),
        "reach": [asdict(each) for each in reach(n, min(k, MOST_PAIRWISE))],
        **(pairwise(blocks.matrix[chosen]) if n >= 2 and k >= 2 else {}),
    }


def pairwise(blocks: pd.DataFrame) -> dict[str, Any]:
    """Compare every two methods of complete blocks, and say how large the differences are."""
    from spared_bench.statistics import pairwise as tests
    from spared_bench.statistics.effects import rank_biserial_matrix
    from spared_bench.statistics.omnibus import rank_table
    from spared_bench.statistics.summaries import normalised

    ranks, difference, groups = rank_table(blocks)
    # Errors of hard datasets are larger: only normalised differences can be ranked together. A
    # dataset with an error of 0 has no such scale and keeps its own.
    relative = normalised(blocks).fillna(blocks)
    matrices = {
        "wilcoxon": tests.wilcoxon_holm(relative),
        "conover": tests.conover_friedman(blocks),
        "nemenyi": tests.nemenyi(blocks),
        "dunn": tests.dunn(relative),
        "effect": rank_biserial_matrix(relative),
    }
    return {
        "critical_difference": difference,
        "pairwise_ranks": ranks.to_dict(),
        "cliques": [list(group) for group in groups],
        "pairs": list(map(str, blocks.columns)),
        "matrices": {name: found.to_numpy().tolist() for name, found in matrices.items()},
    }


def completion_effects(part: ProtocolBoard) -> list[dict[str, Any]]:
    """Compare every completer with raw training, paired by method and dataset."""
    from spared_bench.statistics.paired import compare

    rows = [row for row in part.rows if row.competes]
    counted = [column for column in part.columns if column.counts]

    def matrix(completer: str) -> pd.DataFrame:
        mine = [row for row in rows if row.completer == completer]
        return errors(mine, counted, [_method(row) for row in mine])

    raw = matrix(RAW)
    others = sorted({row.completer for row in rows} - {RAW}) if len(raw.columns) else []
    return [
        {"completer": completer, "methods": [asdict(each) for each in found]}
        for completer in others
        if (found := compare(raw, matrix(completer)))
    ]


def _method(row: Row) -> str:
    origin = row.origin
    entry = f" ({origin.method}@{origin.version}, {origin.trust})" if origin.method else ""
    return row.predictor + entry


def published_view(part: ProtocolBoard) -> dict[str, Any] | None:
    """Summarise published rows as their authors did; ``None`` where there are none.

    Over all measured datasets, those that repeat others' slides included; with the suspect cells
    and without them. ``best`` names the method of highest PCC-Gene on each dataset, the first of
    the rows on a tie.
    """
    rows = reported_rows(part)
    if not rows:
        return None
    names = _told_apart(rows)
    columns = measured(part)
    suspect = suspect_cells(rows, names)
    found = correlations(rows, columns, names).dropna(how="all")
    best = found.max(axis=1).sort_values()
    dunn, compared = published_dunn(rows, part, names)
    return {
        "methods": names,
        "suspect": [list(cell) for cell in suspect],
        "all": _summary(errors(rows, columns, names)),
        "without_suspect": _summary(errors(rows, columns, names, suspect)),
        "hardest": [str(best.index[0]), float(best.iloc[0])] if len(best) else None,
        "easiest": [str(best.index[-1]), float(best.iloc[-1])] if len(best) else None,
        "best": {str(name): str(method) for name, method in found.idxmax(axis=1).items()},
        "dunn": {"methods": compared, "p": dunn.to_numpy().tolist()},
    }


def _told_apart(rows: Sequence[Row]) -> list[str]:
    """Name each row by its method, or by as much more as tells all of them apart."""
    methods = [row.origin.method for row in rows]
    if len(set(methods)) == len(rows):
        return methods
    return [
        f"{row.origin.method}@{row.origin.version} {row.predictor} {row.completer}" for row in rows
    ]


def published_dunn(
    rows: Sequence[Row], part: ProtocolBoard, names: Sequence[str]
) -> tuple[pd.DataFrame, list[str]]:
    """Return Dunn's matrix of normalised MSE, Bonferroni, of methods with half of the datasets."""
    from spared_bench.statistics.pairwise import dunn
    from spared_bench.statistics.summaries import normalised

    matrix = normalised(errors(rows, measured(part), names))
    enough = matrix.loc[:, matrix.notna().sum() >= len(matrix) / 2]
    return dunn(enough), list(map(str, enough.columns))


def _summary(matrix: pd.DataFrame) -> dict[str, dict[str, float]]:
    from spared_bench.statistics.summaries import normalised, wins

    columns = {
        "mean": normalised(matrix).mean(axis=0),
        "wins": wins(matrix),
        "datasets": matrix.notna().sum(axis=0),
    }
    return {
        key: {str(name): float(value) for name, value in found.items()}
        for key, found in columns.items()
    }
