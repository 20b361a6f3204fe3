"""The board as labelled matrices, which is what the statistics take."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from spared_bench.leaderboard.board import Column, Entry, ProtocolBoard, Row

if TYPE_CHECKING:
    import pandas as pd

SUSPECT = "suspect-cell"


def errors(
    rows: Sequence[Row],
    columns: Sequence[Column],
    names: Sequence[str],
    without: Collection[tuple[str, str]] = (),
) -> pd.DataFrame:
    """Return the MSE of rows on datasets, seeds averaged, (n_datasets, n_rows).

    Parameters
    ----------
    rows, columns : sequence
    names : sequence of str
        One per row, for the matrix.
    without : collection of (dataset, name)
        Cells to leave empty.
    """
    return _matrix(rows, columns, names, lambda entry: entry.mse.mean, without)


def correlations(
    rows: Sequence[Row], columns: Sequence[Column], names: Sequence[str]
) -> pd.DataFrame:
    """Return PCC-Gene likewise."""
    return _matrix(rows, columns, names, lambda entry: entry.pcc.mean, ())


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


def measured(part: ProtocolBoard) -> list[Column]:
    """Return the datasets that are not generated; those that repeat others' slides are among them.

    Published tables average over all of them; the board's own means leave repeats out.
    """
    return [column for column in part.columns if column.listed and not column.synthetic]


def _matrix(
    rows: Sequence[Row],
    columns: Sequence[Column],
    names: Sequence[str],
    value: Callable[[Entry], float],
    without: Collection[tuple[str, str]],
) -> pd.DataFrame:
    import pandas as pd

    left_out = set(without)
    values = [
        [
            math.nan if (column.name, name) in left_out else value(row.entries[column.name])
            for row, name in zip(rows, names, strict=True)
        ]
        for column in columns
    ]
    labels = [column.name for column in columns]
    return pd.DataFrame(values, index=labels, columns=list(names), dtype=float)
