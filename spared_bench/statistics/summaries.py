"""One number per method over datasets: normalised error, share of wins, average rank."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def normalised(errors: pd.DataFrame, lowest: pd.Series | None = None) -> pd.DataFrame:
    """Divide every error by the lowest of any method on its dataset; 1 is best.

    Parameters
    ----------
    errors : DataFrame of shape (n_datasets, n_methods)
        Not negative; nan where there is no result. A dataset whose lowest error is 0 becomes nan.
    lowest : Series of shape (n_datasets,), optional
        What to divide by, by the names of datasets, where not every method may decide it.
    """
    lowest = errors.min(axis=1) if lowest is None else lowest.reindex(errors.index)
    return errors.div(lowest.where(lowest > 0), axis=0)


def wins(errors: pd.DataFrame) -> pd.Series:
    """Return on how many datasets each method has the lowest error.

    Methods that tie share the dataset in equal parts, so that the sum is the number of datasets.
    """
    best = errors.eq(errors.min(axis=1), axis=0)
    return best.div(best.sum(axis=1).where(lambda n: n > 0), axis=0).sum(axis=0)


def average_ranks(blocks: pd.DataFrame) -> pd.Series:
    """Return mean ranks over datasets; 1 is best, ties share their mean rank.

    Parameters
    ----------
    blocks : DataFrame of shape (n_datasets, n_methods)
        Without nan.
    """
    return blocks.rank(axis=1, method="average").mean(axis=0)
