"""Who sets the record of a dataset: the score whose error the errors of all rows are divided by.

Ranks are of means of such ratios, so whoever sets a record moves every row, and may turn round the
order of two others. A number that nobody checked, that is doubted, or that stands on one dataset
alone must not do that to rows that were checked. Of the rows that compete, the record is set by the
best of the first of these groups that has a value on the dataset:

1. scored here from predictions, a value for every seed on every dataset that counts, no flag (one
   that is about another dataset does not count);
2. the same of published scores and of other workspaces;
3. without a flag, complete or not;
4. any.

So a row of a later group may have a normalised error below 1, which is its own affair. Nothing can
be divided by an error of 0: whoever has it has a ratio of 0, and the next one sets the record.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from spared_bench.leaderboard.measures import best, error, normalised
from spared_bench.leaderboard.model import BoardDataset, DatasetScores, Origin
from spared_bench.specs import MetricSpec

#: Scores that were computed here, from predictions.
_CHECKED = ("reproduced", "re-scored", "brought")


@dataclass(frozen=True)
class Competitor:
    """A row that may set a record: where it comes from, and its scores on every dataset."""

    origin: Origin
    scores: Mapping[str, DatasetScores]


def with_records(
    datasets: Sequence[BoardDataset],
    competing: Iterable[Competitor],
    metrics: Sequence[MetricSpec],
) -> tuple[BoardDataset, ...]:
    """Return datasets with the record of each by every metric; nan where nobody has a value."""
    competing = list(competing)
    records: dict[str, dict[str, float]] = {dataset.name: {} for dataset in datasets}
    for metric in metrics:
        whole = [has_all(each.scores, datasets, metric) for each in competing]
        for name, found in records.items():
            values = [each.scores[name].score(metric).mean for each in competing]
            groups = [
                _group(each.origin, name, complete)
                for each, complete in zip(competing, whole, strict=True)
            ]
            defined = [pair for pair in zip(groups, values, strict=True) if math.isfinite(pair[1])]
            found[metric.name] = _record(metric, defined)
    return tuple(replace(dataset, best=records[dataset.name]) for dataset in datasets)


def _record(metric: MetricSpec, defined: Sequence[tuple[int, float]]) -> float:
    """Return the best value of the first group, of those whose error others can be divided by.

    By an error of 0, or nearly 0, one row would take the rank of every other.

    Parameters
    ----------
    metric : MetricSpec
    defined : sequence of (int, float)
        Groups, and values that are finite.
    """
    if not defined:
        return math.nan
    worst = max((value for _, value in defined), key=lambda value: error(metric, value))
    dividing = [pair for pair in defined if math.isfinite(normalised(metric, worst, pair[1]))]
    first = min(group for group, _ in dividing or defined)
    return best(metric, [value for group, value in dividing or defined if group == first])


def _group(origin: Origin, dataset: str, complete: bool) -> int:
    """Return which group a row is of on a dataset, the lowest setting records before the others."""
    if any(flag.dataset in ("", dataset) for flag in origin.flags):
        return 4
    if not complete:
        return 3
    return 1 if origin.trust in _CHECKED else 2


def has_all(
    scores: Mapping[str, DatasetScores], datasets: Iterable[BoardDataset], metric: MetricSpec
) -> bool:
    """Whether a row has a value by a metric for every seed on every dataset that counts."""
    return all(scores[each.name].complete(metric) for each in datasets if each.counts)
