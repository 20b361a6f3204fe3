"""What the statistics say of a board by one metric: of all rows, and completer by completer."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from spared_bench.leaderboard.measures import can_be_normalised, error
from spared_bench.leaderboard.model import BoardDataset, ProtocolBoard, Row
from spared_bench.leaderboard.records import has_all
from spared_bench.leaderboard.text import predictor_name
from spared_bench.specs import MetricSpec

if TYPE_CHECKING:
    import pandas as pd

    from spared_bench.statistics.paired import PairedComparison

MOST_PAIRWISE = 25  # methods of a matrix of pairs; beyond them nobody reads it
RAW = "none"


@dataclass(frozen=True)
class PairTest:
    """What every two methods are compared by, as the page offers it.

    Parameters
    ----------
    name : str
        In the page's address.
    function : str
        Of ``spared_bench.statistics``, with its module: complete blocks to a square table.
    title, explanation : str
    relative : bool
        Whether it compares errors over the lowest of their dataset; else ranks, which have no
        scale.
    effect : bool
        Whether its values are sizes, from -1 to 1, and not p values.
    """

    name: str
    function: str
    title: str
    explanation: str
    relative: bool = False
    effect: bool = False

    def load(self) -> Callable[[pd.DataFrame], pd.DataFrame]:
        """Return the function, whose module imports scipy."""
        module, _, function = self.function.partition(".")
        loaded: Callable[[pd.DataFrame], pd.DataFrame] = getattr(
            import_module(f"spared_bench.statistics.{module}"), function
        )
        return loaded

    def as_dict(self) -> dict[str, Any]:
        """Return what the page needs."""
        return {
            "name": self.name,
            "title": self.title,
            "explanation": self.explanation,
            "effect": self.effect,
        }


#: In the order in which the page offers them; the first is shown first.
PAIR_TESTS = (
    PairTest(
        "wilcoxon",
        "pairwise.wilcoxon_holm",
        "Wilcoxon, Holm",
        "Signed-rank test of the two methods’ normalised errors, paired by dataset and corrected"
        " for the number of pairs.",
        relative=True,
    ),
    PairTest(
        "conover",
        "pairwise.conover_friedman",
        "Conover-Friedman, Holm",
        "Compares rank sums after Friedman’s test; powerful, and optimistic with few datasets.",
    ),
    PairTest(
        "nemenyi",
        "pairwise.nemenyi",
        "Nemenyi",
        "Compares average ranks; what the critical-difference diagram shows.",
    ),
    PairTest(
        "dunn",
        "pairwise.dunn",
        "Dunn, Bonferroni (as published)",
        "Takes the values of two methods for independent samples: that they were scored on the same"
        " datasets is not used. For comparison with the paper, of normalised errors.",
        relative=True,
    ),
    PairTest(
        "effect",
        "effects.rank_biserial_matrix",
        "Effect: rank-biserial",
        "From −1 to 1; positive where the method of the row has the lower error on most, and by"
        " most, of the datasets.",
        relative=True,
        effect=True,
    ),
)


def comparisons(part: ProtocolBoard, metric: MetricSpec) -> list[dict[str, Any]]:
    """Compare the rows of a board, all together and completer by completer.

    Rows are named by their place on the board. Controls and withdrawn rows take no part.
    """
    named = [(str(place), row) for place, row in enumerate(part.rows) if row.competes]
    completers = sorted({row.completer for _, row in named})
    groups = [("", named)] if len(completers) != 1 else []
    groups += [(c, [(n, row) for n, row in named if row.completer == c]) for c in completers]
    return [
        {
            "completer": completer,
            **comparison(part, metric, [n for n, _ in group], [r for _, r in group]),
        }
        for completer, group in groups
        if group
    ]


def comparison(
    part: ProtocolBoard, metric: MetricSpec, names: Sequence[str], rows: Sequence[Row]
) -> dict[str, Any]:
    """Compare rows over the datasets that count."""
    from spared_bench.statistics.blocks import complete_blocks
    from spared_bench.statistics.omnibus import friedman, reach
    from spared_bench.statistics.summaries import average_ranks, wins

    matrix = errors(rows, part.counted, metric, names)
    blocks = complete_blocks(
        matrix, followers=_followers(part, metric, dict(zip(names, rows, strict=True)))
    )
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
        **(pairwise(blocks.matrix[chosen], part, metric) if n >= 2 and k >= 2 else {}),
    }


def _followers(part: ProtocolBoard, metric: MetricSpec, named: Mapping[str, Row]) -> set[str]:
    """Return the rows that must not take a dataset out of the comparison of the others.

    Entries of others that lack results, where another row has all of them.
    """
    whole = {n for n, row in named.items() if has_all(row.datasets, part.datasets, metric)}
    return {n for n, row in named.items() if row.origin.of_others} - whole if whole else set()


def pairwise(blocks: pd.DataFrame, part: ProtocolBoard, metric: MetricSpec) -> dict[str, Any]:
    """Compare every two methods of complete blocks, and say how large the differences are."""
    from spared_bench.statistics.omnibus import rank_table

    ranks, difference, groups = rank_table(blocks)
    scaled = _scaled(blocks, part, metric)
    matrices = {test.name: test.load()(scaled if test.relative else blocks) for test in PAIR_TESTS}
    return {
        "critical_difference": difference,
        "pairwise_ranks": ranks.to_dict(),
        "cliques": [list(group) for group in groups],
        "pairs": list(map(str, blocks.columns)),
        "matrices": {name: found.to_numpy().tolist() for name, found in matrices.items()},
    }


def _scaled(matrix: pd.DataFrame, part: ProtocolBoard, metric: MetricSpec) -> pd.DataFrame:
    """Return errors on one scale: those of hard datasets are larger.

    Only relative differences can be ranked together. A dataset with an error of 0 has no such scale
    and keeps its own.
    """
    return relative(matrix, metric, records(part, metric)).fillna(matrix)


def completion_effects(part: ProtocolBoard, metric: MetricSpec) -> list[dict[str, Any]]:
    """Compare every completer with raw training, paired by method and dataset."""
    rows = [row for row in part.rows if row.competes]
    completers = {row.completer for row in rows}
    others = sorted(completers - {RAW}) if RAW in completers else []
    if not others:
        return []
    from spared_bench.statistics.paired import compare

    def matrix(completer: str) -> pd.DataFrame:
        mine = [row for row in rows if row.completer == completer]
        found = errors(mine, part.counted, metric, [_method(row) for row in mine])
        # As for pairs of methods: else the dataset with the largest errors outranks all others.
        return _scaled(found, part, metric) if can_be_normalised(metric) else found

    raw = matrix(RAW)
    return [
        {"completer": completer, "methods": [_effect(each, metric) for each in found]}
        for completer in others
        if (found := compare(raw, matrix(completer)))
    ]


def _effect(found: PairedComparison, metric: MetricSpec) -> dict[str, Any]:
    values = asdict(found)
    if not can_be_normalised(metric):
        values["median_change"] = math.nan  # a ratio of what has no zero
    return values


def _method(row: Row) -> str:
    """Name a row so that no other of the same completer is called the same."""
    origin = row.origin
    if not origin.method:
        return predictor_name(origin, row.predictor)
    return f"{row.predictor} ({origin.method}@{origin.version}, {origin.trust})"


def errors(
    rows: Sequence[Row],
    datasets: Sequence[BoardDataset],
    metric: MetricSpec,
    names: Sequence[str],
    without: Collection[tuple[str, str]] = (),
) -> pd.DataFrame:
    """Return the errors of rows on datasets, seeds averaged, (n_datasets, n_rows).

    Parameters
    ----------
    rows, datasets : sequence
    metric : MetricSpec
        What is an error by it, ``measures.error`` says.
    names : sequence of str
        One per row, for the matrix.
    without : collection of (dataset, name)
        Cells to leave empty.
    """
    import pandas as pd

    left_out = set(without)
    values = [
        [
            math.nan
            if (dataset.name, name) in left_out
            else error(metric, row.datasets[dataset.name].score(metric).mean)
            for row, name in zip(rows, names, strict=True)
        ]
        for dataset in datasets
    ]
    labels = [dataset.name for dataset in datasets]
    return pd.DataFrame(values, index=labels, columns=list(names), dtype=float)


def records(part: ProtocolBoard, metric: MetricSpec) -> pd.Series:
    """Return the error that others are divided by on every dataset of a board (``records``)."""
    import pandas as pd

    found = {each.name: error(metric, each.best[metric.name]) for each in part.datasets}
    return pd.Series(found, dtype=float)


def relative(
    matrix: pd.DataFrame, metric: MetricSpec, lowest: pd.Series | None = None
) -> pd.DataFrame:
    """Return errors on one scale for all datasets: over the lowest on each, or how far from it.

    A dataset whose lowest error is 0 has no such scale, and becomes nan.

    Parameters
    ----------
    matrix : DataFrame of shape (n_datasets, n_methods)
    metric : MetricSpec
    lowest : Series of shape (n_datasets,), optional
        By the names of datasets; by default that of the methods of the matrix.
    """
    from spared_bench.statistics.summaries import normalised

    if not can_be_normalised(metric):
        return matrix.sub(matrix.min(axis=1), axis=0)
    return normalised(matrix, lowest)
