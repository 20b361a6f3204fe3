"""Raw against completed: the same methods, datasets and seeds, with and without a completer."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from spared_bench.statistics.effects import rank_biserial
from spared_bench.statistics.pairwise import holm, wilcoxon_each

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class PairedComparison:
    """One method trained on raw and on completed targets.

    Parameters
    ----------
    method : str
    n_datasets : int
        Those that have both.
    better : int
        Datasets on which the completed one has the lower error.
    median_change : float
        Median over datasets of ``completed / raw - 1``; nan without datasets.
    p : float
        Wilcoxon's signed-rank test, corrected by Holm over the methods.
    effect : float
        Rank-biserial; positive where completion helps.
    """

    method: str
    n_datasets: int
    better: int
    median_change: float
    p: float
    effect: float


def compare(raw: pd.DataFrame, completed: pd.DataFrame) -> list[PairedComparison]:
    """Compare errors without and with a completer, method by method.

    Parameters
    ----------
    raw, completed : DataFrame of shape (n_datasets, n_methods)
        Only methods and datasets of both count.
    """
    methods = [name for name in raw.columns if name in completed.columns]
    datasets = [name for name in raw.index if name in completed.index]
    before, after = (each.loc[datasets, methods].to_numpy(dtype=float) for each in (raw, completed))
    both = ~(np.isnan(before) | np.isnan(after))
    pairs = [(before[there, at], after[there, at]) for at, there in enumerate(both.T)]
    p = wilcoxon_each([later - earlier for earlier, later in pairs])
    found = [
        _compared(str(name), *pair, each)
        for name, pair, each in zip(methods, pairs, p, strict=True)
    ]
    tested = [each.p for each in found if each.n_datasets]
    corrected = iter(holm(tested))
    return [replace(each, p=float(next(corrected))) if each.n_datasets else each for each in found]


def _compared(method: str, before: np.ndarray, after: np.ndarray, p: float) -> PairedComparison:
    if not len(before):
        return PairedComparison(method, 0, 0, math.nan, 1.0, math.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        change = float(np.median(after / before - 1))
    return PairedComparison(
        method,
        len(before),
        int((after < before).sum()),
        change if math.isfinite(change) else math.nan,
        p,
        rank_biserial(after, before),
    )
