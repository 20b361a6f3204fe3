"""The rank that a submission would have among accepted entries, with an interval over datasets.

A row is one (entry, predictor, completer). Its error on a dataset by the metric that ranks, mean
over seeds, is divided by the lowest of any row there; rows are ranked by the mean over datasets.
The interval is the 2.5th to 97.5th percentile of the rank when the datasets are drawn again with
replacement (percentile bootstrap, errors of a dataset staying together). It says how far the rank
hangs on the choice of datasets; with fewer than five of them it says little. Generated datasets,
withdrawn entries and rows that lack a dataset do not enter.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spared_bench.leaderboard.entries import EntryResult, MethodEntry
from spared_bench.leaderboard.measures import can_be_normalised, error
from spared_bench.specs import MetricSpec

_DRAWS = 2_000
#: Of normalised errors: what differs by less differs in the order of sums alone.
_DIGITS = 9

Row = tuple[str, str, str]


@dataclass(frozen=True)
class Standing:
    """The place of one row.

    Parameters
    ----------
    completer, predictor : str
    rank, low, high : int
        Among ``n_rows``, this one included, and the interval.
    n_rows, n_others, n_datasets : int
        ``n_others`` of the rows are of accepted entries.
    normalised_error : float
        Mean over datasets.
    overtaken : tuple of str
        Rows of others that would now have a worse rank than this one.
    best_on : tuple of str
        Datasets on which it would have the lowest error, alone.
    """

    completer: str
    predictor: str
    rank: int
    low: int
    high: int
    n_rows: int
    n_others: int
    n_datasets: int
    normalised_error: float
    overtaken: tuple[str, ...]
    best_on: tuple[str, ...]


def standings(
    results: Sequence[EntryResult],
    others: Iterable[MethodEntry],
    datasets: Sequence[str],
    metric: MetricSpec,
) -> list[Standing]:
    """Return the place of each complete row of a submission.

    None has one by a metric without a perfect value, whose errors have no ratio.

    Parameters
    ----------
    results : sequence of EntryResult
        Of the submission.
    others : iterable of MethodEntry
        Accepted ones of the same protocol.
    datasets : sequence of str
        Those that are ranked.
    metric : MetricSpec
        By which the protocol ranks.
    """
    if not can_be_normalised(metric):
        return []
    # The board reads all rows on the split on which a submission is scored.
    splits: dict[str, str] = {each.dataset: next(iter(each.split_scores), "") for each in results}
    mine = _errors("", results, datasets, metric, splits)
    rivals: dict[Row, np.ndarray] = {}
    for entry in others:
        if entry.withdrawn is None:
            rivals |= _errors(entry.folder_name, entry.results, datasets, metric, splits)
    return [_standing(row, mine | rivals, datasets) for row in mine]


def _errors(
    label: str,
    results: Iterable[EntryResult],
    datasets: Sequence[str],
    metric: MetricSpec,
    splits: Mapping[str, str],
) -> dict[Row, np.ndarray]:
    """Return the error on each dataset, (n_datasets,), of the rows that have all of them."""
    found: dict[Row, dict[str, list[float]]] = {}
    for result in results:
        scores = {str(split): values for split, values in result.split_scores.items()}
        value = scores.get(splits.get(result.dataset, ""), {}).get(metric.name)
        distance = math.nan if value is None else error(metric, value)
        if distance > 0:
            row = found.setdefault((label, result.predictor, result.completer), {})
            row.setdefault(result.dataset, []).append(distance)
    return {
        row: np.array([np.mean(errors[name]) for name in datasets])
        for row, errors in found.items()
        if datasets and set(datasets) <= set(errors)
    }


def _standing(row: Row, rows: Mapping[Row, np.ndarray], datasets: Sequence[str]) -> Standing:
    names = list(rows)
    errors = np.stack([rows[name] for name in names])  # (n_rows, n_datasets)
    relative = (errors / errors.min(axis=0)).round(_DIGITS)
    place = names.index(row)
    means = relative.mean(axis=1).round(_DIGITS)
    low, high = rank_interval(relative, place)
    worse = [
        " / ".join(name)
        for name, mean in zip(names, means, strict=True)
        if name[0] and mean > means[place]
    ]
    alone = (relative == 1).sum(axis=0) == 1
    best = [
        name
        for name, wins in zip(
            datasets, (relative[place] == 1) & alone & (len(names) > 1), strict=True
        )
        if wins
    ]
    return Standing(
        completer=row[2],
        predictor=row[1],
        rank=int((means < means[place]).sum()) + 1,
        low=low,
        high=high,
        n_rows=len(names),
        n_others=sum(bool(name[0]) for name in names),
        n_datasets=len(datasets),
        normalised_error=float(means[place]),
        overtaken=tuple(sorted(worse)),
        best_on=tuple(best),
    )


def rank_interval(relative: np.ndarray, place: int, draws: int = _DRAWS) -> tuple[int, int]:
    """Return the 95 % bootstrap interval of a row's rank.

    Parameters
    ----------
    relative : ndarray of shape (n_rows, n_datasets)
        Normalised errors.
    place : int
        Which row.
    draws : int
        Of the datasets, with replacement, from a fixed seed.
    """
    rng = np.random.default_rng(0)
    chosen = rng.integers(relative.shape[1], size=(draws, relative.shape[1]))
    means = relative[:, chosen].mean(axis=2).round(_DIGITS)  # (n_rows, draws)
    ranks = (means < means[place]).sum(axis=0) + 1
    low, high = np.percentile(ranks, [2.5, 97.5], method="nearest")
    return int(low), int(high)
