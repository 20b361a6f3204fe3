"""Complete blocks: the datasets and methods of a matrix of which nothing is missing."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Blocks:
    """A matrix without gaps, and what was left out of it.

    Parameters
    ----------
    matrix : DataFrame of shape (n_datasets, n_methods)
    methods_left_out : dict of str to int
        Methods with too few datasets, and how many they have.
    datasets_left_out : tuple of str
        Datasets that one of the kept methods lacks.
    total : int
        Datasets before.
    """

    matrix: pd.DataFrame
    methods_left_out: dict[str, int]
    datasets_left_out: tuple[str, ...]
    total: int


def complete_blocks(
    matrix: pd.DataFrame, least_share: float = 0.5, followers: Collection[str] = ()
) -> Blocks:
    """Keep what every kept method has.

    A method with few datasets would leave none for the others, so methods are left out first:
    those with less than ``least_share`` of the datasets that the best covered method has. Datasets
    follow: those that a kept method lacks. Followers take no dataset out: those that lack one of
    what the other methods keep are left out themselves.

    Parameters
    ----------
    matrix : DataFrame of shape (n_datasets, n_methods)
        nan where a method has no result.
    least_share : float
        In [0, 1].
    followers : collection of str
        Methods of the matrix.
    """
    covered = matrix.notna().sum(axis=0)
    follows = matrix.columns.isin(list(followers))
    most = covered[~follows].max() if (~follows).any() else 0
    enough = ~follows & (covered >= max(1, least_share * most))
    whole = matrix.loc[:, enough].notna().all(axis=1)
    enough |= follows & matrix.loc[whole].notna().all(axis=0)
    kept = matrix.loc[:, enough]
    return Blocks(
        kept.loc[whole],
        {str(name): int(count) for name, count in covered[~enough].items()},
        tuple(map(str, kept.index[~whole])),
        len(matrix),
    )
